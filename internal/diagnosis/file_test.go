package diagnosis

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// judge returns the lines of a report: the faults, then the notes after "note: ".
func judge(text string, files map[string]string) []string {
	report := File("-", []byte(text), func(name string) ([]byte, error) {
		if content, ok := files[name]; ok {
			return []byte(content), nil
		}
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	})
	lines := []string{}
	for _, fault := range report.Faults {
		lines = append(lines, fault.String())
	}
	for _, note := range report.Notes {
		lines = append(lines, "note: "+note.String())
	}
	return lines
}

// at indents all lines but the first, so that a text can be put at any depth.
func at(indent int, text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", indent))
}

const (
	wasmAny = `
"@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
config:
  name: rec
  fail_open: true
  vm_config: {runtime: envoy.wasm.runtime.v8, code: {local: {filename: build/l4dump.wasm}}}
  configuration:
    "@type": type.googleapis.com/google.protobuf.StringValue
    value: '{"strategy": {"switch": "ON", "duration": 0}, "resource_guard": "off"}'
`
	tcpAny    = `{"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: tcp, cluster: c}`
	faultText = "config.configuration.value: strategy.duration: want a whole number from 1 to 3599, got 0"
)

var listener = `
name: l
address: {socket_address: {address: 127.0.0.1, port_value: 1}}
filter_chains:
- filters:
  - name: rec
    typed_config:
      ` + at(6, wasmAny) + `
  - {name: tcp, typed_config: ` + tcpAny + `}
`

// jsonOf returns a document of YAML as JSON.
func jsonOf(t *testing.T, text string) string {
	t.Helper()
	converted, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	return string(converted)
}

// chainOf is a listener with the plugin, whose configuration has more keys, and further filters.
func chainOf(keys string, filters ...string) string {
	if keys != "" {
		keys = ", " + keys
	}
	text := "name: l\naddress: {socket_address: {address: 127.0.0.1, port_value: 1}}\nfilter_chains:\n- filters:\n  - name: rec\n    typed_config:\n      " +
		at(6, strings.Replace(wasmAny, `, "duration": 0}`, `}`+keys, 1)) + "\n"
	for _, filter := range filters {
		text += "  - {name: f, typed_config: " + filter + "}\n"
	}
	return text
}

func TestFile(t *testing.T) {
	const (
		httpManager = `{"@type": type.googleapis.com/` + httpManagerType + `, stat_prefix: h}`
		other       = `{"@type": type.googleapis.com/x.Other}`
		value       = "filter_chains[0].filters[0].typed_config.config.configuration.value"
		chain       = "filter_chains[0].filters[0].typed_config."
		node        = "node: {id: a, cluster: b}\n"
		wasmKind    = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec:\n  type: NETWORK\n  failStrategy: FAIL_OPEN\n"
		engine      = "not supported by the embedded engine; use Envoy"
	)
	typedStruct := func(name, key string) string {
		return "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nspec:\n  configPatches:\n  - patch:\n      value:\n        typedConfig:\n" +
			"          '@type': type.googleapis.com/" + name + "\n          " + key + ": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm\n" +
			"          value:\n            " + at(12, strings.SplitN(wasmAny, "\n", 3)[2])
	}
	lds := "dynamic_resources: {lds_config: {path_config_source: {path: lds.yaml}}}\n"
	ldsNotes := []string{"note: dynamic_resources: " + engine, "note: static_resources.listeners: want at least one listener: none is " + engine}
	resources := "resources:\n- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n  " + at(2, listener)
	for _, row := range []struct {
		name, text string
		files      map[string]string
		want       []string
	}{
		{"TypedStruct of udpa", typedStruct("udpa.type.v1.TypedStruct", "type_url"), nil, []string{"spec.configPatches[0].patch.value.typedConfig.value." + faultText}},
		{"TypedStruct of xds", typedStruct("xds.type.v3.TypedStruct", "typeUrl"), nil, []string{"spec.configPatches[0].patch.value.typedConfig.value." + faultText}},
		{"listeners of istioctl", "- " + at(2, strings.NewReplacer("filter_chains", "filterChains", "typed_config", "typedConfig", "port_value", "portValue").Replace(listener)), nil, []string{"[0].filterChains[0].filters[0].typedConfig." + faultText}},
		{"a dump of the configuration", "configs:\n- dynamic_listeners:\n  - active_state:\n      listener:\n        " + at(8, listener), nil, []string{"configs[0].dynamic_listeners[0].active_state.listener." + chain + faultText}},
		{"a file of listeners", resources, nil, []string{"resources[0]." + chain + faultText}},
		{"listeners in another file", lds, map[string]string{"lds.yaml": resources}, append([]string{"lds.yaml: resources[0]." + chain + faultText}, ldsNotes...)},
		{
			"listeners in a file that is not here", lds, nil,
			append(ldsNotes, "note: dynamic_resources.lds_config: refers to a file that cannot be read here, check it too: open lds.yaml: file does not exist",
				"note: no plugin of l4dump in this file; it may come from elsewhere"),
		},
		{
			"listeners from a control plane", "dynamicResources: {ldsConfig: {ads: {}}, adsConfig: {api_type: grpc}}\n", nil,
			append(ldsNotes, "note: dynamicResources.ldsConfig: comes from a control plane: check what it sends, as Envoy's /config_dump shows it",
				"note: no plugin of l4dump in this file; it may come from elsewhere"),
		},
		{
			"a bootstrap in a ConfigMap", "apiVersion: v1\nkind: ConfigMap\ndata:\n  other: text\n  envoy.yaml: |\n    static_resources:\n      listeners:\n      - " + at(8, listener), nil,
			[]string{
				"data.envoy.yaml: static_resources.listeners[0]." + chain + faultText,
				`note: data.envoy.yaml: static_resources.listeners[0].filter_chains[0].filters[1].typed_config.cluster: unknown cluster "c": connections are closed until there is one`,
			},
		},
		{"a plugin's configuration in a ConfigMap", "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.json: '{\"strategy\": {\"switch\": 1}}'\n", nil, []string{`data.a.json: strategy.switch: want "ON" or "OFF", got 1`}},
		{
			"a ConfigMap of another, then nothing", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a.json: '{}'}\n---\n", nil,
			[]string{"want a network wasm filter of l4dump, found none", "note: document 1: not ours: ConfigMap a"},
		},
		{"an unquoted switch", wasmKind + "  pluginConfig: {strategy: {switch: ON}, resource_guard: \"off\"}\n", nil, []string{`spec.pluginConfig: strategy.switch: want "ON" or "OFF", got true: YAML reads ON as a boolean, quote it`}},
		{"an unquoted guard", wasmKind + "  pluginConfig: {strategy: {switch: \"ON\"}, resource_guard: off}\n", nil, []string{`spec.pluginConfig: resource_guard: want "sidecar" or "off", got false: YAML reads off as a boolean, quote it`}},
		{"a boolean that is one", wasmKind + "  pluginConfig: {strategy: {switch: true}, resource_guard: \"off\"}\n", nil, []string{`spec.pluginConfig: strategy.switch: want "ON" or "OFF", got true`}},
		{"merged keys", "x: &x {strategy: {switch: 5}}\n" + wasmKind + "  pluginConfig: {<<: *x, resource_guard: \"off\"}\n", nil, []string{`spec.pluginConfig: strategy.switch: want "ON" or "OFF", got 5`}},
		{"a key given twice", wasmKind + "  pluginConfig: {strategy: {switch: \"ON\", switch: \"ON\"}, resource_guard: \"off\"}\n", nil, []string{"spec.pluginConfig.strategy.switch: given twice"}},
		{"a large integer keeps its digits", wasmKind + "  pluginConfig: {strategy: {switch: \"ON\", interval: 9007199254740993}, resource_guard: \"off\"}\n", nil, []string{"spec.pluginConfig: strategy.interval: want a whole number from 30 to 3600, got 9007199254740993"}},
		{"a filter for HTTP", strings.Replace(wasmKind, "NETWORK", "AUTHZ", 1) + "  url: oci://example/l4dump:1\n", nil, []string{
			`spec.type: want NETWORK, got "AUTHZ": a filter for HTTP does not see TCP`,
			"note: spec.pluginConfig.strategy.switch: is OFF: nothing is recorded unless a global strategy is ON",
		}},
		{
			"a document that cannot be read after one that can", wasmKind + "  pluginConfig: {strategy: {switch: \"ON\", interval: 1}}\n---\na: [\n", nil,
			[]string{"spec.pluginConfig: strategy.interval: want a whole number from 30 to 3600, got 1", "want YAML or JSON: yaml: line 8: did not find expected node content"},
		},
		{
			"a sidecar that measures too seldom", wasmKind + "  pluginConfig: {strategy: {switch: \"ON\"}, sidecar: {stale_after: 5s}}\n---\napiVersion: apps/v1\nkind: Deployment\n" +
				"spec: {template: {spec: {containers: [{image: example/l4dump, args: [sidecar, --sample-interval, 2001ms]}]}}}\n", nil,
			[]string{"note: document 1: spec.pluginConfig.sidecar.stale_after: is 5s, less than twice the sidecar's --sample-interval and the plugin's poll_interval together (5.002s): " +
				"recording would stop between two measurements"},
		},
		{
			"a sidecar that measures in time", wasmKind + "  pluginConfig: {strategy: {switch: \"ON\"}, sidecar: {stale_after: 5s}}\n---\napiVersion: apps/v1\nkind: Deployment\n" +
				"spec: {template: {spec: {containers: [{image: example/l4dump, args: [sidecar, --sample-interval=2s]}]}}}\n", nil,
			[]string{},
		},
		{
			"Envoy reads the first document only", "a: 1\n---\n" + node, nil,
			[]string{
				"want a network wasm filter of l4dump, found none", "note: document 1: not ours: neither a configuration of Envoy nor a manifest",
				"note: document 2: Envoy reads the first document of a file only", "note: document 2: static_resources.listeners: want at least one listener: none is " + engine,
			},
		},
		{"documents of JSON", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"}} {"apiVersion":"extensions.istio.io/v1alpha1","kind":"WasmPlugin","spec":{"type":"NETWORK","failStrategy":"FAIL_OPEN","pluginConfig":{"strategy":{"switch":"on"}}}}`, nil, []string{
			`document 2: spec.pluginConfig: strategy.switch: want "ON" or "OFF", got "on"`, "note: document 1: not ours: Service a",
		}},
		{
			"an HTTP connection manager after the plugin", chainOf(``, httpManager), nil,
			[]string{value + ".capture.next_filter: want http_connection_manager: an HTTP connection manager leaves pipelined requests in the proxy's " +
				"buffer, and the proxy shows them to the plugin again, so that they are in the dump twice"},
		},
		{"an acknowledged HTTP connection manager", chainOf(`"capture": {"next_filter": "http_connection_manager"}`, httpManager), nil, []string{}},
		{
			"an HTTP connection manager after another filter", chainOf(`"capture": {"next_filter": "other"}`, other, httpManager), nil,
			[]string{value + ".capture.next_filter: want http_connection_manager, since " + httpManagerType + " ends the filter chain, got other"},
		},
		{
			"an acknowledged one that is not there", chainOf(`"capture": {"next_filter": "http_connection_manager"}`, tcpAny), nil,
			[]string{value + ".capture.next_filter: want tcp_proxy, since " + tcpProxyType + " ends the filter chain, got http_connection_manager"},
		},
		{"long writes to Istio's log", wasmKind + `  pluginConfig: {resource_guard: "off", strategy: {switch: "ON"}, output: {write_bytes: 65536}}`, nil, []string{
			"note: spec.pluginConfig.output.write_bytes: is over max_line_bytes: Istio's sidecar shares its standard error with pilot-agent, whose lines can cut into a longer write",
		}},
		{"writes of a line to Istio's log", wasmKind + `  pluginConfig: {resource_guard: "off", strategy: {switch: "ON"}, output: {write_bytes: 4096}}`, nil, []string{}},
		{
			"long writes to a JSON log", node + "application_log_config: {log_format: {json_format: {message: '%_'}}}\nstatic_resources: {listeners: [" +
				jsonOf(t, chainOf(`"output": {"write_bytes": 4097}`, tcpAny)) + "]}\n", nil,
			[]string{
				"note: application_log_config: " + engine,
				`note: static_resources.listeners[0].filter_chains[0].filters[1].typed_config.cluster: unknown cluster "c": connections are closed until there is one`,
				"note: static_resources.listeners[0]." + value + ".output.write_bytes: is over max_line_bytes: the log's JSON format escapes the line breaks, which makes each write one long line",
			},
		},
		{"a TCP proxy, as said", chainOf(`"capture": {"next_filter": "tcp_proxy"}`, tcpAny), nil, []string{}},
		{"a TCP proxy after another filter", chainOf(`"capture": {"next_filter": "other"}`, other, tcpAny), nil, []string{}},
		{
			"a TCP proxy and no other filter", chainOf(`"capture": {"next_filter": "other"}`, tcpAny), nil,
			[]string{value + ".capture.next_filter: want tcp_proxy, since " + tcpProxyType + " ends the filter chain, got other"},
		},
		{
			"another filter at the end", chainOf(``, other), nil,
			[]string{"note: " + value + ".capture.next_filter: is not set, and x.Other ends the filter chain: bytes that it leaves in the proxy's buffer are in the dump twice"},
		},
		{"another filter at the end, as said", chainOf(`"capture": {"next_filter": "other"}`, other), nil, []string{}},
		{
			"an EnvoyFilter before an HTTP connection manager", "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nspec:\n  configPatches:\n  - applyTo: EXTENSION_CONFIG\n    patch:\n      value:\n        name: n/rec\n        typed_config:\n          " +
				at(10, strings.Replace(wasmAny, `, "duration": 0`, "", 1)) + "\n  - applyTo: NETWORK_FILTER\n    match: {listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}\n" +
				"    patch: {operation: INSERT_BEFORE, value: {name: n/rec, config_discovery: {config_source: {ads: {}}, type_urls: [a]}}}\n", nil,
			[]string{"spec.configPatches[0].patch.value.typed_config.config.configuration.value.capture.next_filter: want http_connection_manager: an HTTP connection manager " +
				"leaves pipelined requests in the proxy's buffer, and the proxy shows them to the plugin again, so that they are in the dump twice"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, judge(row.text, row.files))
		})
	}
}

func FuzzFile(f *testing.F) {
	f.Add(listener)
	f.Add("a: &a [*a]\n---\n<<: {b: !ignore c}\n!ignore d: 1e3\n")
	f.Add(`{"configs":[{"@type":"x"}]}`)
	f.Add("apiVersion: v1\nkind: List\nitems: [{kind: ConfigMap, data: {a: 'strategy: {}'}}]")
	f.Fuzz(func(t *testing.T, text string) {
		report := File("-", []byte(text), func(string) ([]byte, error) { return nil, os.ErrNotExist })
		require.NotEmpty(t, report.Kind)
	})
}

// TestPatches takes an EnvoyFilter whose patches name each other, rightly and with a slip.
func TestPatches(t *testing.T) {
	const text = `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: l4dump, namespace: demo}
spec:
  configPatches:
  - applyTo: CLUSTER
    patch: {operation: ADD, value: {name: CLUSTER, type: STATIC, connect_timeout: 1s}}
  - applyTo: EXTENSION_CONFIG
    patch:
      operation: ADD
      value:
        name: EXTENSION
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            name: l4dump
            fail_open: true
            configuration:
              "@type": type.googleapis.com/google.protobuf.StringValue
              value: '{"strategy": {"switch": "ON"}}'
  - applyTo: NETWORK_FILTER
    match: {listener: {filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: demo/l4dump
        config_discovery:
          config_source: {ads: {}}
          type_urls: [type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm]
`
	const configuration = "spec.configPatches[1].patch.value.typed_config.config.configuration.value"
	for _, row := range []struct {
		name, cluster, extension string
		want                     []string
	}{
		{"as they should be", "l4dump-sidecar", "demo/l4dump", []string{}},
		{"another cluster", "l4-sidecar", "demo/l4dump", []string{
			"note: " + configuration + `.sidecar.cluster: no CLUSTER patch of this file adds "l4dump-sidecar", but one of "l4-sidecar" does: ` +
				"without its sidecar the plugin records nothing",
		}},
		{"another extension", "l4dump-sidecar", "demo/l4dmp", []string{
			`note: spec.configPatches[2].patch.value.name: no EXTENSION_CONFIG patch of this file adds "demo/l4dump", but one of "demo/l4dmp" does: ` +
				"the filter waits for it",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, judge(strings.NewReplacer("CLUSTER,", row.cluster+",", "EXTENSION\n", row.extension+"\n").Replace(text), nil))
		})
	}
}

// TestMistakes takes what Envoy refuses and people write.
func TestMistakes(t *testing.T) {
	const node = "node: {id: a, cluster: b}\n"
	bootstrap := func(listener string) string {
		return node + "static_resources:\n  clusters:\n  - {name: c, type: STATIC, connect_timeout: 1s}\n  listeners:\n  - " + at(4, listener)
	}
	swapped := `
name: l
address: {socket_address: {address: 127.0.0.1, port_value: 1}}
filter_chains:
- filters:
  - {name: tcp, typed_config: ` + tcpAny + `}
  - name: rec
    typed_config:
      ` + at(6, strings.Replace(wasmAny, `"duration": 0`, `"duration": 1`, 1)) + `
`
	require.Contains(t, judge(bootstrap(swapped), nil), "static_resources.listeners[0].filter_chains[0].filters[0]: want "+
		tcpProxyType+" last in its filter chain: it is a terminal filter")

	structured := strings.Replace(listener, "google.protobuf.StringValue", "google.protobuf.Struct", 1)
	require.Contains(t, judge(bootstrap(structured), nil),
		"static_resources.listeners[0].filter_chains[0].filters[0].typed_config.config.configuration: "+wantStringValue)
}
