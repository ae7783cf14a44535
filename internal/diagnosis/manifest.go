package diagnosis

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"l4dump/internal/envoyapi"
	"l4dump/internal/fault"
	"l4dump/internal/usage"
)

// manifest judges an object of Kubernetes.
func (f *file) manifest(path string, object map[string]any) {
	kind, _ := object["kind"].(string)
	version, _ := object["apiVersion"].(string)
	if items, ok := object["items"].([]any); ok && (kind == "" || strings.HasSuffix(kind, "List")) {
		for i, item := range items {
			if inner, ok := item.(map[string]any); ok {
				f.manifest(fmt.Sprintf("%s[%d]", fault.Join(path, "items"), i), inner)
			}
		}
		return
	}
	found, foreign, sidecars := f.found, f.foreign, len(f.sidecars)
	if kind == "WasmPlugin" || kind == "EnvoyFilter" || kind == "" && strings.HasPrefix(version, "extensions.istio.io/") {
		f.longLog = "Istio's sidecar shares its standard error with pilot-agent, whose lines can cut into a longer write"
		defer func() { f.longLog = "" }()
	}
	switch {
	case kind == "WasmPlugin" || kind == "" && strings.HasPrefix(version, "extensions.istio.io/"):
		f.wasmPlugin(path, object)
		return
	case kind == "EnvoyFilter":
		f.envoyFilter(path, object)
	case kind == "ConfigMap":
		f.configMap(path, object)
	default:
		f.containers(path, object)
		f.walk(path, object)
	}
	if f.found == found && f.foreign == foreign && len(f.sidecars) == sidecars {
		f.note(path, "not ours: "+title(object))
	}
}

// title names an object: "ServiceAccount demo/orders".
func title(object map[string]any) string {
	kind, _ := object["kind"].(string)
	if kind == "" {
		kind = "object"
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	if namespace, _ := metadata["namespace"].(string); namespace != "" {
		name = namespace + "/" + name
	}
	return strings.TrimSpace(kind + " " + name)
}

// networkPlugin is the type of a WasmPlugin that is a network filter.
const networkPlugin = "NETWORK"

func (f *file) wasmPlugin(path string, object map[string]any) {
	spec, _ := object["spec"].(map[string]any)
	at := fault.Join(path, "spec")
	text, err := json.Marshal(spec["pluginConfig"])
	if spec["pluginConfig"] == nil || err != nil {
		text = nil
	}
	who := identity{name: title(object), configuration: text}
	for _, key := range []string{"url", "pluginName"} {
		name, _ := spec[key].(string)
		who.others = append(who.others, name)
	}
	if !who.isOwn() {
		f.notOwn(path, who.name)
		return
	}
	f.found++
	if kind, _ := spec["type"].(string); kind != networkPlugin {
		f.fault(at+".type", fmt.Sprintf("want %s, got %q: a filter for HTTP does not see TCP", networkPlugin, kind))
	}
	if policy, _ := spec["failStrategy"].(string); policy != "FAIL_OPEN" {
		f.note(at+".failStrategy", "is not FAIL_OPEN: a crash of the plugin would close live connections")
	}
	f.next = next{hides: []string{hidesHPACK}} // Istio puts it before those too
	f.plugin(at+".pluginConfig", text)
	f.next = next{}
}

// filterNames are the filters that the patches of an EnvoyFilter are put before, by their usual names.
var filterNames = map[string]string{
	"envoy.filters.network.http_connection_manager": httpManagerType,
	"envoy.filters.network.tcp_proxy":               tcpProxyType,
}

// envoyFilter judges the patches of an EnvoyFilter. One that inserts a filter says what comes after it, also for a plugin
// whose configuration is in another patch.
func (f *file) envoyFilter(path string, object map[string]any) {
	spec, _ := object["spec"].(map[string]any)
	patches, _ := spec["configPatches"].([]any)
	nexts := make([]next, len(patches))
	for i, element := range patches {
		patch, _ := element.(map[string]any)
		f.patch(fmt.Sprintf("%s.configPatches[%d]", fault.Join(path, "spec"), i), patch)
		filter := inner(patch, "match", "listener", "filterChain", "filter")
		name, _ := filter["name"].(string)
		operation, _ := inner(patch, "patch")["operation"].(string)
		if operation != "INSERT_BEFORE" && operation != "INSERT_FIRST" {
			continue
		}
		nexts[i] = next{last: filterNames[name], after: filterNames[name]}
		if nexts[i].last == httpManagerType {
			nexts[i].hides = []string{hidesHPACK}
		}
		if added, ok := inner(patch, "patch", "value")["name"].(string); ok && nexts[i].last != "" {
			f.nextOf[added] = nexts[i]
		}
	}
	for i, element := range patches {
		f.next = nexts[i]
		f.walk(fmt.Sprintf("%s.configPatches[%d]", fault.Join(path, "spec"), i), element)
	}
	f.next = next{}
}

// patch remembers what a patch adds, and what its filter asks for.
func (f *file) patch(path string, patch map[string]any) {
	value := inner(patch, "patch", "value")
	name, _ := value["name"].(string)
	switch applyTo, _ := patch["applyTo"].(string); applyTo {
	case "CLUSTER":
		f.patched[name] = true
	case "EXTENSION_CONFIG":
		f.added[name] = true
	case "NETWORK_FILTER":
		for _, key := range []string{"config_discovery", "configDiscovery"} {
			if discovery, ok := value[key].(map[string]any); ok && isDiscovery(discovery) {
				f.wanted = append(f.wanted, f.finding(path+".patch.value.name", name))
			}
		}
	}
}

// comparePatches notes what patches refer to and none of them adds, as a name that is written in two ways.
func (f *file) comparePatches() {
	for _, each := range f.wanted {
		if len(f.added) > 0 && !f.added[each.Message] {
			f.note(each.Path, fmt.Sprintf("no EXTENSION_CONFIG patch of this file adds %q, but one of %s does: the filter waits for it",
				each.Message, quoted(f.added)))
		}
	}
	for _, g := range f.guarded {
		if len(f.patched) > 0 && !f.patched[g.cluster] {
			f.note(fault.Join(g.path, "sidecar.cluster"), fmt.Sprintf(
				"no CLUSTER patch of this file adds %q, but one of %s does: without its sidecar the plugin records nothing",
				g.cluster, quoted(f.patched)))
		}
	}
}

// quoted returns names in order, each in quotes.
func quoted(names map[string]bool) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, strconv.Quote(name))
	}
	return strings.Join(list, ", ")
}

// inner returns the object at the end of keys; nil if there is none.
func inner(object map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		object, _ = object[key].(map[string]any)
	}
	return object
}

// configMap judges what is in a ConfigMap and looks like a configuration of Envoy or of the plugin.
func (f *file) configMap(path string, object map[string]any) {
	prefix, kind, unquoted := f.prefix, f.kind, f.unquoted
	data, _ := object["data"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		text, _ := data[key].(string)
		documents, err := envoyapi.Documents([]byte(text))
		at := prefix + fault.Join(fault.Join(path, "data"), key) + ": "
		if err == nil && slices.ContainsFunc(documents, ownDocument) {
			f.documents(documents, at)
			continue
		}
		if strings.HasSuffix(key, ".json") && ownKey.MatchString(text) { // which is not valid JSON
			f.prefix = at
			f.found++
			f.plugin("", []byte(text))
		}
	}
	f.prefix, f.kind, f.unquoted = prefix, kind, unquoted
}

// ownDocument reports whether a document in a ConfigMap is to be judged.
func ownDocument(d envoyapi.Document) bool {
	content, err := d.Kubernetes()
	if err != nil {
		return false
	}
	switch kindOf(content.Value) {
	case kindBootstrap, kindExtension, kindDump, kindResource, kindManifest:
		text, err := json.Marshal(content.Value)
		return err == nil && (strings.Contains(string(text), wasmType) || strings.Contains(string(text), "WasmPlugin"))
	}
	object, _ := content.Value.(map[string]any)
	return hasOwnKey(object)
}

// sidecarArgs is a container that runs the sidecar.
type sidecarArgs struct {
	path           string
	sampleInterval time.Duration
}

// containers finds the containers that run l4dump's sidecar.
func (f *file) containers(path string, value any) {
	switch value := value.(type) {
	case []any:
		for i, element := range value {
			f.containers(fmt.Sprintf("%s[%d]", path, i), element)
		}
	case map[string]any:
		if args := arguments(value); runsSidecar(value, args) {
			f.sidecars = append(f.sidecars, sidecarArgs{path, sampleInterval(args)})
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			f.containers(fault.Join(path, key), value[key])
		}
	}
}

// arguments returns the command line of a container.
func arguments(container map[string]any) []string {
	var all []string
	for _, key := range []string{"command", "args"} {
		list, _ := container[key].([]any)
		for _, element := range list {
			text, _ := element.(string)
			all = append(all, strings.Fields(text)...)
		}
	}
	return all
}

func runsSidecar(container map[string]any, args []string) bool {
	image, _ := container["image"].(string)
	return slices.Contains(args, "sidecar") && strings.Contains(image+strings.Join(args, " "), ownName)
}

func sampleInterval(args []string) time.Duration {
	const flag = "--sample-interval"
	for i, arg := range args {
		text, ok := strings.CutPrefix(arg, flag+"=")
		if arg == flag && i+1 < len(args) {
			text, ok = args[i+1], true
		}
		if interval, err := time.ParseDuration(text); ok && err == nil {
			return interval
		}
	}
	return usage.DefaultInterval
}

// compareIntervals notes plugins that would not believe the sidecar's readings between two measurements.
func (f *file) compareIntervals() {
	for _, sidecar := range f.sidecars {
		for _, g := range f.guarded {
			if needed := usage.LeastStaleAfter(sidecar.sampleInterval, g.polling); g.staleAfter < needed {
				f.note(fault.Join(g.path, "sidecar.stale_after"), fmt.Sprintf(
					"is %s, less than twice the sidecar's --sample-interval and the plugin's poll_interval together (%s): recording would stop between two measurements",
					g.staleAfter, needed))
			}
		}
	}
}
