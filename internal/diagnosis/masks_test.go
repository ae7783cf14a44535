package diagnosis

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMasks has each thing that masks do not see noted where it may pass, and only there.
func TestMasks(t *testing.T) {
	const (
		path    = "filter_chains[0].filters[0].typed_config.config.configuration.value.capture.mask: "
		headers = `"http_headers": true`
		tls     = "listener_filters: [{name: t, typed_config: {\"@type\": type.googleapis.com/" + tlsInspectorType + "}}]\n"
		raw     = "  transport_socket: {name: r, typed_config: {\"@type\": type.googleapis.com/" + rawBufferType + "}}\n"
		ends    = "  transport_socket: {name: t, typed_config: {\"@type\": type.googleapis.com/x.Tls}}\n"
		gzip    = "http_filters: [{name: z, typed_config: {\"@type\": type.googleapis.com/" + compressorType + "}}]"
		struct2 = `{"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/` + httpManagerType + `, value: {codec_type: `
	)
	manager := func(fields string) string {
		return `{"@type": type.googleapis.com/` + httpManagerType + `, ` + fields + `}`
	}
	for _, row := range []struct {
		name, mask, filter string
		next               string // what the configuration says of filter
		more               string // keys of the listener and of its filter chain
		want               []string
	}{
		{"no mask", ``, manager(gzip), "http_connection_manager", "", nil},
		{"a codec that is not said", headers, manager("stat_prefix: a"), "http_connection_manager", "", []string{hidesHPACK}},
		{"any codec", headers, manager("codec_type: AUTO"), "http_connection_manager", "", []string{hidesHPACK}},
		{"HTTP/2", headers, manager("codecType: HTTP2"), "http_connection_manager", "", []string{hidesHPACK}},
		{"HTTP/3", headers, manager("codec_type: 3"), "http_connection_manager", "", []string{hidesHPACK}},
		{"HTTP/1", headers, manager("codec_type: HTTP1"), "http_connection_manager", "", nil},
		{"HTTP/1 in lower case", headers, manager("codecType: http1"), "http_connection_manager", "", nil},
		{"HTTP/1 as a number", headers, manager("codec_type: 1"), "http_connection_manager", "", nil},
		{"HTTP/1 in a TypedStruct", headers, struct2 + "HTTP1}}", "http_connection_manager", "", nil},
		{"HTTP/2 in a TypedStruct", headers, struct2 + "HTTP2}}", "http_connection_manager", "", []string{hidesHPACK}},
		{"patterns", `"patterns": ["a"]`, manager("stat_prefix: a"), "http_connection_manager", "", []string{hidesHPACK}},
		{"card numbers", `"card_numbers": true`, manager("stat_prefix: a"), "http_connection_manager", "", []string{hidesHPACK}},
		{"every byte", headers + `, "lengths_only": true`, manager("stat_prefix: a"), "http_connection_manager", "", nil},
		{"compression", headers, manager("codec_type: HTTP1, " + gzip), "http_connection_manager", "", []string{hidesBody}},
		{"HTTP/2 and compression", headers, manager("httpFilters" + strings.TrimPrefix(gzip, "http_filters")), "http_connection_manager", "", []string{hidesHPACK, hidesBody}},
		{"TCP", headers, tcpAny, "tcp_proxy", "", nil},
		{"TLS that passes", headers, tcpAny, "tcp_proxy", tls, []string{hidesTLS}},
		{"TLS that passes a raw socket", headers, tcpAny, "tcp_proxy", raw + tls, []string{hidesTLS}},
		{"TLS that ends", headers, tcpAny, "tcp_proxy", ends + tls, nil},
		{"a chain for TLS that passes", headers, tcpAny, "tcp_proxy", "  filter_chain_match: {transport_protocol: tls}\n", []string{hidesTLS}},
		{"a chain for what is not TLS", headers, tcpAny, "tcp_proxy", "  filterChainMatch: {transportProtocol: raw_buffer}\n" + tls, nil},
		{"TLS that passes, of which only lengths are seen", `"lengths_only": true`, tcpAny, "tcp_proxy", tls, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := []string{}
			for _, what := range row.want {
				want = append(want, "note: "+path+what)
			}
			keys := `"capture": {"next_filter": "` + row.next + `", "mask": {` + row.mask + `}}`
			require.Equal(t, want, judge(chainOf(keys, row.filter)+row.more, nil))
		})
	}
}

// TestMasksOfIstio has the same of manifests, which do not show the connection manager that comes after the plugin.
func TestMasksOfIstio(t *testing.T) {
	const config = `{"resource_guard": "off", "strategy": {"switch": "ON"}, "capture": {"next_filter": "http_connection_manager", "mask": {"http_headers": true}}}`
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{
			"a WasmPlugin", "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec:\n  type: NETWORK\n  failStrategy: FAIL_OPEN\n  pluginConfig: " + config,
			[]string{"note: spec.pluginConfig.capture.mask: " + hidesHPACK},
		},
		{"a filter before a connection manager", patchOf("envoy.filters.network.http_connection_manager", config), []string{
			"note: spec.configPatches[0].patch.value.typed_config.config.configuration.value.capture.mask: " + hidesHPACK,
		}},
		{
			"a filter before a TCP proxy",
			patchOf("envoy.filters.network.tcp_proxy", strings.Replace(config, "http_connection_manager", "tcp_proxy", 1)),
			[]string{},
		},
	} {
		t.Run(row.name, func(t *testing.T) { require.Equal(t, row.want, judge(row.text, nil)) })
	}
}

// patchOf is an EnvoyFilter that puts the plugin, with a configuration, before a filter.
func patchOf(filter, config string) string {
	return `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
spec:
  configPatches:
  - applyTo: NETWORK_FILTER
    match: {listener: {filterChain: {filter: {name: ` + filter + `}}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: rec
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            fail_open: true
            configuration:
              "@type": type.googleapis.com/google.protobuf.StringValue
              value: '` + config + `'
`
}
