package diagnosis

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"l4dump/internal/envoyapi"
	"l4dump/internal/fault"
	"l4dump/strategy"
)

// The messages that are looked for.
const (
	wasmType        = "envoy.extensions.filters.network.wasm.v3.Wasm"
	httpWasmType    = "envoy.extensions.filters.http.wasm.v3.Wasm"
	tcpProxyType    = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
	httpManagerType = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	clusterType     = "envoy.config.cluster.v3.Cluster"
)

// messageName returns the name of the message in a type URL.
func messageName(typeURL string) string { return typeURL[strings.LastIndexByte(typeURL, '/')+1:] }

// guarded is a plugin that records only while its sidecar reports.
type guarded struct {
	path, cluster       string
	staleAfter, polling time.Duration
}

// identity is what tells whether a plugin is l4dump's.
type identity struct {
	name          string   // for messages
	others        []string // its other names, and where its module comes from
	configuration []byte   // JSON, or what should be
}

// ownName is in the name of every module and plugin of this project that nobody has renamed.
const ownName = "l4dump"

// isOwn reports whether a plugin is l4dump's: by a name or by its configuration.
func (i identity) isOwn() bool {
	for _, name := range append(i.others, i.name) {
		if strings.Contains(strings.ToLower(name), ownName) {
			return true
		}
	}
	var object map[string]any
	if json.Unmarshal(i.configuration, &object) == nil {
		return hasOwnKey(object)
	}
	return ownKey.Match(i.configuration)
}

// ownKey finds a key of this plugin in a text that is not valid JSON.
var ownKey = regexp.MustCompile(`["']?\b(strategy|resource_guard|cpu_max_rate|mem_max_rate)["']?\s*:`)

// hasOwnKey reports whether an object has a key that only this plugin's configuration has.
func hasOwnKey(object map[string]any) bool {
	has := func(key string, inner ...string) bool {
		value, ok := object[key].(map[string]any)
		for _, k := range inner {
			if _, has := value[k]; has {
				return true
			}
		}
		return ok && len(inner) == 0
	}
	_, guard := object["resource_guard"]
	return guard || has("strategy") || has("capture") || has("fuse", "margin", "readings", "soft") ||
		has("sidecar", "cluster", "poll_interval", "stale_after") || has("output", "format", "level", "max_line_bytes", "write_bytes")
}

// IsPlugin reports whether a file is a plugin's configuration, which goes into Envoy's, rather than one of Envoy.
func IsPlugin(text []byte) bool {
	documents, err := envoyapi.Documents(text)
	if err != nil || len(documents) != 1 {
		return false
	}
	content, err := documents[0].Kubernetes()
	if err != nil {
		return false
	}
	object, _ := content.Value.(map[string]any)
	return kindOf(content.Value) == kindUnknown && hasOwnKey(object)
}

// wasm judges a Wasm network filter; fields are those of the message.
func (f *file) wasm(path string, fields map[string]any) {
	message := new(wasmfilterv3.Wasm)
	faults := envoyapi.Decode(fields, message)
	config := message.GetConfig()
	at := path + ".config"
	if who := identify(config); !who.isOwn() {
		f.notOwn(path, "plugin "+who.name)
		return
	}
	f.found++
	if f.kind != kindBootstrap { // which has been judged as a whole
		if f.kind != kindManifest { // whose patches may be merged with more
			envoyapi.Constraints(message.ProtoReflect(), "", &faults)
		}
		for _, each := range faults {
			if each.Path = fault.Join(path, each.Path); each.Accepted {
				f.note(each.Path, each.Message)
			} else {
				f.fault(each.Path, each.Message)
			}
		}
	}
	//nolint:staticcheck // deprecated, but failure_policy has nothing that keeps live connections
	if !config.GetFailOpen() {
		f.note(at+".fail_open", "is not true: a crash of the plugin would close live connections")
	}
	f.configuration(at, fields, config)
}

// httpWasm judges a Wasm filter for HTTP, which l4dump is not.
func (f *file) httpWasm(path string, fields map[string]any) {
	message := new(wasmfilterv3.Wasm)    // of the same form
	_ = envoyapi.Decode(fields, message) // it only has to be identified
	if who := identify(message.GetConfig()); !who.isOwn() {
		f.notOwn(path, "plugin "+who.name)
		return
	}
	f.found++
	f.fault(path, "want the network filter "+wasmType+": a filter for HTTP does not see TCP")
}

func (f *file) notOwn(path, what string) {
	f.foreign++
	f.note(path, "not ours: "+what)
}

func identify(config *wasmv3.PluginConfig) identity {
	code := config.GetVmConfig().GetCode()
	who := identity{
		others: []string{
			config.GetName(), config.GetRootId(), code.GetLocal().GetFilename(), code.GetLocal().GetInlineString(),
			code.GetRemote().GetHttpUri().GetUri(),
		},
		configuration: configurationBytes(config.GetConfiguration()),
	}
	for _, name := range who.others {
		if who.name == "" {
			who.name = name
		}
	}
	if who.name == "" {
		who.name = "without a name"
	}
	return who
}

// configurationBytes returns the configuration as the plugin gets it, also of a Struct, which it does not get like that.
func configurationBytes(packed *anypb.Any) []byte {
	message, err := packed.UnmarshalNew()
	if err != nil {
		return nil
	}
	switch m := message.(type) {
	case *wrapperspb.StringValue:
		return []byte(m.GetValue())
	case *wrapperspb.BytesValue:
		return m.GetValue()
	case json.Marshaler: // a Struct
		text, _ := m.MarshalJSON()
		return text
	}
	return nil
}

// configuration judges the configuration in a PluginConfig at path.
func (f *file) configuration(path string, fields map[string]any, config *wasmv3.PluginConfig) {
	at := path + ".configuration"
	packed := config.GetConfiguration()
	switch packed.MessageName() {
	case "":
		raw, _ := fields["config"].(map[string]any)
		if raw["configuration"] == nil { // else its form is a fault already
			f.plugin(at, nil)
		}
	case "google.protobuf.StringValue", "google.protobuf.BytesValue":
		f.plugin(at+".value", configurationBytes(packed))
	default:
		f.fault(at, wantStringValue)
	}
}

const wantStringValue = "want a google.protobuf.StringValue that holds the JSON text: another message reaches the plugin as protobuf bytes"

// plugin judges a plugin's configuration, which is at path of the document.
func (f *file) plugin(path string, text []byte) {
	config, err := strategy.Parse(text)
	if err != nil {
		var faults fault.Faults
		if !errors.As(err, &faults) {
			faults = fault.Faults{{Message: err.Error()}}
		}
		for _, each := range faults {
			if written, ok := f.unquoted[fault.Join(path, each.Path)]; ok {
				each.Message += ": YAML reads " + written + " as a boolean, quote it"
			}
			at := each.Path
			if path != "" {
				at = strings.TrimSuffix(path+": "+each.Path, ": ")
			}
			f.fault(at, each.Message)
		}
		return
	}
	if config.Strategy.Switch == strategy.SwitchOff {
		f.note(fault.Join(path, "strategy.switch"), "is OFF: nothing is recorded unless a global strategy is ON")
	}
	if config.Guard == strategy.GuardSidecar {
		f.guarded = append(f.guarded, guarded{
			path: f.prefix + path, cluster: config.Sidecar.Cluster,
			staleAfter: time.Duration(config.Sidecar.StaleAfter) * time.Millisecond,
			polling:    time.Duration(config.Sidecar.PollInterval) * time.Millisecond,
		})
	}
	if output := &config.Output; f.longLog != "" && output.WriteBytes > output.MaxLineBytes {
		f.note(fault.Join(path, "output.write_bytes"), "is over max_line_bytes: "+f.longLog)
	}
	f.masks(fault.Join(path, "capture.mask"), &config.Capture.Mask)
	f.nextFilter(fault.Join(path, "capture.next_filter"), config.Capture.NextFilter)
}

// next is what comes after the plugin in its filter chain, by the types of the messages; empty if it is not known.
type next struct {
	last  string   // the filter that ends the chain
	after string   // the first filter after the plugin that is not a Wasm filter
	hides []string // what masks do not see
}

// filterName returns the value of capture.next_filter for a type.
func filterName(messageType string) strategy.NextFilter {
	switch messageType {
	case httpManagerType:
		return strategy.NextHTTPConnectionManager
	case tcpProxyType:
		return strategy.NextTCPProxy
	}
	return strategy.NextOther
}

// nextFilter compares what a plugin's configuration says of the filter after it with the chain, if that is known.
func (f *file) nextFilter(path string, said strategy.NextFilter) {
	last := f.next.last
	name := filterName(last)
	switch {
	case last == "" || last == wasmType || said == name:
	case said == "" && last == httpManagerType:
		f.fault(path, "want "+string(name)+": an HTTP connection manager leaves pipelined requests in the proxy's buffer, and the proxy "+
			"shows them to the plugin again, so that they are in the dump twice")
	case said == "" && name == strategy.NextOther:
		f.note(path, "is not set, and "+last+" ends the filter chain: bytes that it leaves in the proxy's buffer are in the dump twice")
	case said == "" || last != httpManagerType && said == filterName(f.next.after):
	default:
		f.fault(path, fmt.Sprintf("want %s, since %s ends the filter chain, got %s", name, last, said))
	}
}

// filterChain judges the filters of a filter chain.
func (f *file) filterChain(path string, chain map[string]any, filters []any) {
	outer := f.next
	defer func() { f.next = outer }()
	types := make([]string, len(filters))
	var last map[string]any
	for i, filter := range filters {
		last, _ = filter.(map[string]any)
		typeURL, _ := packed(last)
		types[i] = messageName(typeURL)
	}
	hides := f.hides(chain, last)
	for i, filter := range filters {
		f.next = next{last: types[len(types)-1], hides: hides}
		for _, each := range types[i+1:] {
			if each != wasmType {
				f.next.after = each
				break
			}
		}
		here := fmt.Sprintf("%s[%d]", path, i)
		if terminal := types[i] == tcpProxyType || types[i] == httpManagerType; terminal && i < len(filters)-1 && slices.Contains(types, wasmType) {
			f.fault(here, "want "+types[i]+" last in its filter chain: it is a terminal filter")
		}
		f.walk(here, filter)
	}
}
