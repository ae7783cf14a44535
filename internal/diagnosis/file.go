package diagnosis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"l4dump/internal/envoyapi"
	"l4dump/internal/fault"
	"l4dump/internal/proxy"
)

// file is a file on its way to a report.
type file struct {
	report Report
	// read reads another file that this one refers to.
	read    func(name string) ([]byte, error)
	visited map[string]bool // files that were read

	prefix     string            // of paths: the document, or the file that this one refers to
	number     int               // of the present document, from 1
	kind       string            // of the present document
	unquoted   map[string]string // see envoyapi.Content
	next       next              // what comes after the present filter
	expectsTLS bool              // the present listener looks for TLS
	longLog    string            // why the proxy's log is no place for writes of several lines; empty if nothing says so

	nextOf    map[string]next // next of a filter whose configuration comes by discovery, by the name of the resource
	found     int             // plugins of l4dump
	foreign   int             // other plugins
	elsewhere bool            // plugins may come from where this program cannot look
	clusters  map[string]bool // that the file has; nil if others may exist
	patched   map[string]bool // clusters that the EnvoyFilters of the file add
	added     map[string]bool // extension configurations that they add
	wanted    []fault.Fault   // extension configurations that their filters ask for: path, and name as the message
	guarded   []guarded
	sidecars  []sidecarArgs
}

// File judges the text of a file. read returns the content of another file that it refers to, by the name as it is
// written there.
func File(name string, text []byte, read func(name string) ([]byte, error)) Report {
	f := &file{
		report: Report{File: name, Faults: []fault.Fault{}, Notes: []fault.Fault{}},
		read:   read, visited: make(map[string]bool), nextOf: make(map[string]next),
		patched: make(map[string]bool), added: make(map[string]bool),
	}
	documents, err := envoyapi.Documents(text)
	start := bytes.TrimSpace(text)
	isJSON := len(start) > 0 && start[0] == '{'
	switch {
	case len(documents) == 0 && (err == nil || isJSON):
		f.pluginFile(text)
	case len(documents) == 1 && err == nil:
		f.document(documents[0], text)
	default:
		f.documents(documents, "")
	}
	if err != nil && (!isJSON || len(documents) > 0) {
		f.as(kindUnknown)
		f.fault("", "want YAML or JSON: "+err.Error())
	}
	f.finish()
	return f.report
}

// documents judges each of several documents of a file.
func (f *file) documents(documents []envoyapi.Document, prefix string) {
	for i, d := range documents {
		f.prefix, f.number = prefix, i+1
		if len(documents) > 1 {
			f.prefix = fmt.Sprintf("%sdocument %d: ", prefix, i+1)
		}
		f.document(d, nil)
	}
	f.prefix = ""
}

// document judges a document. text is that of the whole file if it has no other document.
func (f *file) document(d envoyapi.Document, text []byte) {
	content, err := d.Kubernetes()
	if err != nil {
		f.as(kindUnknown)
		f.fault("", "want YAML or JSON: "+err.Error())
		return
	}
	kind := kindOf(content.Value)
	if kind != kindManifest && kind != kindUnknown {
		if content, err = d.Envoy(); err != nil {
			f.as(kindUnknown)
			f.fault("", "want YAML or JSON: "+err.Error())
			return
		}
	}
	f.unquoted = content.Unquoted
	switch object, _ := content.Value.(map[string]any); {
	case kind == kindBootstrap:
		f.as(kind)
		f.bootstrap(content)
	case kind == kindManifest:
		f.as(kind)
		for _, path := range content.Twice {
			f.fault(path, "given twice")
		}
		f.manifest("", object)
	case kind != kindUnknown:
		f.as(kind)
		f.walk("", content.Value)
	case text != nil:
		f.pluginFile(text)
	case content.Value == nil: // "---" and nothing after it
	case object != nil && hasOwnKey(object):
		f.as(kindPlugin)
		f.found++
		text, _ := json.Marshal(object)
		f.plugin("", text)
	default:
		f.as(kindUnknown)
		f.note("", "not ours: neither a configuration of Envoy nor a manifest")
	}
}

// pluginFile judges a file that is a plugin's configuration, or should be.
func (f *file) pluginFile(text []byte) {
	f.as(kindPlugin)
	f.found++
	f.plugin("", text)
}

// as notes the kind of a document.
func (f *file) as(kind string) {
	f.kind = kind
	switch f.report.Kind {
	case "", kind:
		f.report.Kind = kind
	default:
		f.report.Kind = kindMixed
	}
}

// kindOf tells the kind of a document by its keys.
func kindOf(value any) string {
	if list, ok := value.([]any); ok {
		if len(list) > 0 && slices.ContainsFunc(list, func(element any) bool { _, ok := element.(map[string]any); return ok }) {
			return kindResource
		}
		return kindUnknown
	}
	object, _ := value.(map[string]any)
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { _, ok := object[key]; return ok })
	}
	switch {
	case has("apiVersion"):
		return kindManifest
	case has("resources"):
		return kindExtension
	case has("configs"):
		return kindDump
	case has("@type", "filter_chains", "filterChains", "default_filter_chain", "defaultFilterChain", "typed_config", "typedConfig"):
		return kindResource
	}
	fields := (*bootstrapv3.Bootstrap)(nil).ProtoReflect().Descriptor()
	for key := range object {
		if envoyapi.Field(fields, key) != nil {
			return kindBootstrap
		}
	}
	return kindUnknown
}

func (f *file) fault(path, message string) {
	if strings.HasSuffix(path, "configuration") && message == "want a google.protobuf.Struct" { // its "value" is a text
		message = wantStringValue
	}
	f.report.Faults = append(f.report.Faults, f.finding(path, message))
}

func (f *file) note(path, message string) {
	f.report.Notes = append(f.report.Notes, f.finding(path, message))
}

func (f *file) finding(path, message string) fault.Fault {
	return fault.Fault{Path: strings.TrimSuffix(f.prefix+path, ": "), Message: message}
}

// bootstrap judges Envoy's bootstrap: as a whole, then the plugins in it and in the files that it names.
func (f *file) bootstrap(content envoyapi.Content) {
	if f.number > 1 {
		f.note("", "Envoy reads the first document of a file only")
	}
	bootstrap, faults := proxy.Check(content)
	for _, each := range faults {
		switch {
		case !each.Accepted:
			f.fault(each.Path, each.Message)
		case strings.HasSuffix(each.Path, ".config.configuration"): // judged with the plugin
		default:
			f.note(each.Path, each.Message)
		}
	}
	if f.clusters == nil {
		f.clusters = make(map[string]bool)
	}
	for _, cluster := range bootstrap.GetStaticResources().GetClusters() {
		f.clusters[cluster.GetName()] = true
	}
	if bootstrap.GetApplicationLogConfig().GetLogFormat().GetJsonFormat() != nil {
		f.longLog = "the log's JSON format escapes the line breaks, which makes each write one long line"
		defer func() { f.longLog = "" }()
	}
	f.walk("", content.Value)
	if bootstrap.GetDynamicResources().GetCdsConfig() != nil || bootstrap.GetDynamicResources().GetAdsConfig() != nil {
		f.clusters = nil
	}
}

// finish adds what can be said only after everything was read.
func (f *file) finish() {
	f.prefix = ""
	if f.report.Kind == "" { // no document has content
		f.as(kindUnknown)
	}
	if f.clusters != nil {
		for _, g := range f.guarded {
			if !f.clusters[g.cluster] {
				f.fault(fault.Join(g.path, "sidecar.cluster"), fmt.Sprintf(
					"want one of static_resources.clusters, got %q: without its sidecar the plugin records nothing", g.cluster))
			}
		}
	}
	f.comparePatches()
	f.compareIntervals()
	if f.found > 0 || len(f.report.Faults) > 0 && f.report.Kind == kindUnknown {
		return
	}
	if f.elsewhere {
		f.note("", "no plugin of l4dump in this file; it may come from elsewhere")
		return
	}
	f.fault("", "want a network wasm filter of l4dump, found none")
}

// follow judges a file that this one refers to.
func (f *file) follow(path, name string) {
	if f.visited[name] {
		return
	}
	f.visited[name] = true
	text, err := f.read(name)
	if err != nil {
		f.elsewhere = true
		f.note(path, "refers to a file that cannot be read here, check it too: "+err.Error())
		return
	}
	prefix, kind, unquoted := f.prefix, f.kind, f.unquoted
	documents, err := envoyapi.Documents(text)
	if len(documents) > 0 {
		var content envoyapi.Content
		if content, err = documents[0].Envoy(); err == nil { // Envoy reads the first document only
			f.prefix, f.kind, f.unquoted = name+": ", kindExtension, content.Unquoted
			f.walk("", content.Value)
		}
	}
	f.prefix, f.kind, f.unquoted = prefix, kind, unquoted
	if err != nil {
		f.fault(path, "refers to "+name+": want YAML or JSON: "+err.Error())
	}
}

// walk looks for plugins in a value, in the order of the paths.
func (f *file) walk(path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		f.object(path, value)
	case []any:
		for i, element := range value {
			f.walk(fmt.Sprintf("%s[%d]", path, i), element)
		}
	}
}

func (f *file) object(path string, object map[string]any) {
	typeURL, fields, at := envoyapi.Unwrap(object, path)
	switch messageName(typeURL) {
	case wasmType:
		f.wasm(at, fields)
		return
	case httpWasmType:
		f.httpWasm(at, fields)
		return
	case clusterType:
		if name, _ := fields["name"].(string); f.clusters != nil {
			f.clusters[name] = true
		}
	}
	outer, outerTLS := f.next, f.expectsTLS
	defer func() { f.next, f.expectsTLS = outer, outerTLS }()
	f.expectsTLS = f.expectsTLS || expectsTLS(fields)
	if name, _ := fields["name"].(string); f.nextOf[name].last != "" {
		f.next = f.nextOf[name]
	}
	f.source(path, object)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		here := fault.Join(at, key)
		if filters, ok := fields[key].([]any); ok && key == "filters" {
			f.filterChain(here, fields, filters)
			continue
		}
		f.walk(here, fields[key])
	}
}

// sourceKeys are the fields that say where plugins, or clusters, come from.
var sourceKeys = []string{
	"lds_config", "ldsConfig", "cds_config", "cdsConfig", "config_source", "configSource",
}

// source looks at where a part of the configuration comes from.
func (f *file) source(path string, object map[string]any) {
	for _, key := range sourceKeys {
		source, ok := object[key].(map[string]any)
		if !ok {
			continue
		}
		if strings.HasPrefix(key, "config") && !isDiscovery(object) {
			continue
		}
		at := fault.Join(path, key)
		name, _ := source["path"].(string)
		for _, pathKey := range []string{"path_config_source", "pathConfigSource"} {
			if inner, ok := source[pathKey].(map[string]any); ok {
				name, _ = inner["path"].(string)
			}
		}
		switch {
		case name != "":
			f.follow(at, name)
		case f.kind == kindBootstrap && !strings.HasPrefix(key, "cds"):
			f.elsewhere = true
			f.note(at, "comes from a control plane: check what it sends, as Envoy's /config_dump shows it")
		}
	}
}

// isDiscovery reports whether an object is the source of a plugin: the config_discovery of a filter.
func isDiscovery(object map[string]any) bool {
	for _, key := range []string{"type_urls", "typeUrls"} {
		urls, _ := object[key].([]any)
		if slices.ContainsFunc(urls, func(url any) bool { text, _ := url.(string); return messageName(text) == wasmType }) {
			return true
		}
	}
	return false
}
