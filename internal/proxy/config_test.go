package proxy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"

	"l4dump/internal/envoyapi"
	"l4dump/internal/host"
)

func TestExampleLoads(t *testing.T) {
	c, err := Load("../../envoy.yaml")
	require.NoError(t, err)
	require.Len(t, c.listeners, 1)
	require.Len(t, c.listeners[0].filters, 1)
	plugin := c.listeners[0].filters[0].extension.plugin
	require.Equal(t, "l4dump", plugin.Name)
	require.Equal(t, "l4dump", plugin.RootID)
	require.Contains(t, string(plugin.Configuration), `"strategy"`)
	require.Equal(t, []string{"127.0.0.1:10000"}, c.ListenAddresses())
	require.Empty(t, c.DiscoveryFiles())
}

// valid is a file without faults; each test breaks it in its own way.
const valid = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: tcp
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: l4
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            vm_config: {runtime: envoy.wasm.runtime.v8, code: {local: {filename: a.wasm}}}
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: service
  clusters:
  - name: service
    load_assignment: {cluster_name: service, endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: a.sock}}}}]}]}
`

func TestFaults(t *testing.T) {
	const (
		listener = "static_resources.listeners[0]"
		filters  = listener + ".filter_chains[0].filters"
		config   = filters + "[0].typed_config.config"
		tcp      = filters + "[1].typed_config"
		cluster  = "static_resources.clusters[0]"
		use      = "not supported by the embedded engine; use Envoy"
	)
	tests := []struct {
		name     string
		old, new string // what is replaced in valid
		want     []string
	}{
		{"nothing", "", "", nil},
		{"not YAML", valid, "a: [", []string{"line 1: did not find expected node content"}},
		{"not an object", valid, "[]", []string{"want an object"}},
		{"empty", valid, "{}", []string{"static_resources.listeners: want at least one listener: none is " + use}},
		{"double key", "    filter_chains:", "    name: again\n    filter_chains:", []string{listener + ".name: given twice: Envoy takes the last one"}},
		{"unknown fields", "admin:", "foo: 1\nbar: {}\nadmin:", []string{"bar: unknown field", "foo: unknown field"}},
		{
			"unknown field in a typed_config", "          config:\n", "          color: red\n          config:\n",
			[]string{filters + "[0].typed_config.color: unknown field"},
		},
		{
			"unsupported fields", "    filter_chains:\n    - filters:",
			"    use_original_dst: true\n    listener_filters: [{name: a}]\n    filter_chains:\n    - transport_socket: {name: x}\n      filters:",
			[]string{listener + ".filter_chains[0].transport_socket: " + use, listener + ".use_original_dst: " + use, listener + ".listener_filters: " + use},
		},
		{
			"wrong kinds", "port_value: 0}}}\nstatic", "port_value: x}}}\nstats_flush_interval: soon\nstatic",
			[]string{
				`admin.address.socket_address.port_value: invalid value "x": want uint32`,
				`stats_flush_interval: invalid value "soon": want a duration such as "1.5s"`,
			},
		},
		{
			"wrong enum", "  - name: service\n", "  - name: service\n    type: MAGIC\n",
			[]string{cluster + `.type: invalid value "MAGIC": want one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST`},
		},
		{"wrong list", "    filter_chains:\n    - filters:", "    metadata: []\n    filter_chains:\n    - filters:", []string{listener + ".metadata: want an object"}},
		{
			"two of a oneof", "{local: {filename: a.wasm}}", "{local: {filename: a.wasm, inline_bytes: aa}}",
			[]string{config + ".vm_config.code.local.inline_bytes: only one of filename and inline_bytes may be set"},
		},
		{
			"constraint of the API", "stat_prefix: tcp\n", "\n",
			[]string{tcp + ".stat_prefix: value length must be at least 1 runes"},
		},
		{
			"port too high", "port_value: 0}}\n    filter", "port_value: 65536}}\n    filter",
			[]string{listener + ".address.socket_address.port_value: value must be less than or equal to 65535"},
		},
		{
			"unknown type", "envoy.extensions.filters.network.wasm.v3.Wasm", "acme.Filter",
			[]string{filters + `[0].typed_config.@type: unknown type "type.googleapis.com/acme.Filter": ` + use},
		},
		{"no type", "\"@type\": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm", "a: 1", []string{filters + "[0].typed_config.@type: want the type of the message"}},
		{
			"type not supported", "code: {local: {filename: a.wasm}}}\n", "code: {local: {filename: a.wasm}}}\n      - name: rl\n        typed_config: {\"@type\": type.googleapis.com/envoy.config.core.v3.Node}\n",
			[]string{filters + "[1].typed_config: type envoy.config.core.v3.Node: " + use},
		},
		{
			"configuration as a Struct", "            vm_config:", "            configuration: {\"@type\": type.googleapis.com/google.protobuf.Struct, value: {a: 1}}\n            vm_config:",
			[]string{config + ".configuration: a google.protobuf.Struct reaches the plugin as protobuf bytes: put the JSON text into a google.protobuf.StringValue"},
		},
		{
			"both failure policies", "            vm_config:", "            fail_open: true\n            failure_policy: FAIL_OPEN\n            vm_config:",
			[]string{config + ".fail_open: only one of fail_open and failure_policy may be set"},
		},
		{
			"reload", "            vm_config:", "            failure_policy: FAIL_RELOAD\n            reload_config: {}\n            vm_config:",
			[]string{config + ".failure_policy: FAIL_RELOAD: " + use, config + ".reload_config: " + use},
		},
		{"null runtime", "envoy.wasm.runtime.v8", "envoy.wasm.runtime.null", []string{config + `.vm_config.runtime: runtime "envoy.wasm.runtime.null": ` + use}},
		{"remote code", "local: {filename: a.wasm}", "remote: {}", []string{
			config + ".vm_config.code.remote.http_uri: value is required",
			config + ".vm_config.code.remote.sha256: value length must be at least 1 runes",
			config + ".vm_config.code.remote: " + use,
		}},
		{"no code", ", code: {local: {filename: a.wasm}}", "", []string{config + ".vm_config.code: want a local module"}},
		{"empty code", "{local: {filename: a.wasm}}", "{}", []string{config + ".vm_config.code.specifier: value is required"}},
		{"no VM", "vm_config: {runtime: envoy.wasm.runtime.v8, code: {local: {filename: a.wasm}}}", "name: a", []string{config + ".vm_config: want the VM's configuration"}},
		{"unknown cluster", "cluster: service\n  clusters", "cluster: other\n  clusters", []string{tcp + `.cluster: unknown cluster "other": connections are closed until there is one`}},
		{"weighted clusters", "cluster: service\n  clusters", "weighted_clusters: {clusters: [{name: service, weight: 1}]}\n  clusters", []string{tcp + ".weighted_clusters: " + use}},
		{
			"listener address is a name", "address: 127.0.0.1, port_value: 0}}\n", "address: localhost, port_value: 0}}\n",
			[]string{listener + `.address.socket_address.address: malformed IP address "localhost"`},
		},
		{"listener on a pipe", "{socket_address: {address: 127.0.0.1, port_value: 0}}\n", "{pipe: {path: a}}\n", []string{listener + ".address: want a socket_address: another is " + use}},
		{"UDP", "address: 127.0.0.1, port_value: 0}}\n", "protocol: UDP, address: 127.0.0.1, port_value: 0}}\n", []string{listener + ".address.socket_address.protocol: want TCP: " + use}},
		{"static cluster with a name", "pipe: {path: a.sock}", "socket_address: {address: web, port_value: 1}", []string{cluster + `.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: malformed IP address "web": a name needs a cluster of type STRICT_DNS`}},
		{"cluster discovery", "  - name: service\n", "  - name: service\n    type: EDS\n", []string{cluster + ".type: want STATIC, STRICT_DNS or LOGICAL_DNS: " + use}},
		{"load balancer", "  - name: service\n", "  - name: service\n    lb_policy: RANDOM\n", []string{cluster + ".lb_policy: want ROUND_ROBIN: " + use}},
		{"same cluster twice", "  clusters:\n", "  clusters:\n  - {name: service}\n", []string{`static_resources.clusters[1].name: the name "service" is taken by another cluster`}},
		{"logical DNS without a host", "  clusters:\n", "  clusters:\n  - {name: a, type: LOGICAL_DNS}\n", []string{cluster + ".load_assignment: a cluster of type LOGICAL_DNS must have exactly one endpoint"}},
		{"no chain", "filter_chains:", "filter_chains: []\n    metadata: {}\n    api_listener: {}\n    x:", []string{listener + ".x: unknown field", listener + ".api_listener: " + use, listener + ".filter_chains: want a filter chain"}},
		{"TCP proxy not last", "\n      - name: tcp\n", "\n      - name: tcp\n        typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: a, cluster: service}\n      - name: tcp\n", []string{filters + "[1]: a TCP proxy must be the last filter"}},
		{
			"discovery without a node", `        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            vm_config: {runtime: envoy.wasm.runtime.v8, code: {local: {filename: a.wasm}}}
`, `        config_discovery:
          config_source: {path_config_source: {path: e.yaml}}
          type_urls: [a]
          apply_default_config_without_warming: true
`,
			[]string{
				filters + "[0].config_discovery.apply_default_config_without_warming: want a default_config as well",
				"node: want id and cluster, because a filter has config_discovery",
			},
		},
		{
			"default_config of another type", `        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            vm_config: {runtime: envoy.wasm.runtime.v8, code: {local: {filename: a.wasm}}}
`, `        config_discovery:
          config_source: {ads: {}}
          type_urls: [type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm]
          default_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, stat_prefix: a, rules: {}}
`,
			[]string{
				filters + "[0].config_discovery.config_source.ads: " + use,
				filters + "[0].config_discovery.default_config.rules: " + use,
				filters + "[0].config_discovery.config_source.path_config_source.path: want the name of a file",
				filters + "[0].config_discovery.default_config: type type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC is not one of type_urls",
				"node: want id and cluster, because a filter has config_discovery",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Contains(t, valid, test.old)
			_, err := Parse("x.yaml", []byte(strings.Replace(valid, test.old, test.new, 1)))
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			var got []string
			for _, fault := range faultsOf(err) {
				got = append(got, fault.String())
			}
			require.Equal(t, test.want, got)
			require.EqualError(t, err, "read x.yaml:\n"+strings.Join(test.want, "\n"))
		})
	}
}

// A file that was damaged anywhere is read without a panic, and either taken or refused with faults.
func TestDamagedFiles(t *testing.T) {
	pieces := []string{"", "{", "}", "[", "]", ":", "- ", "\"", "\n", "  ", "null", "7", "true", "&a ", "*a", "\"@type\": x", "a: "}
	rapid.Check(t, func(t *rapid.T) {
		text := valid
		for range rapid.IntRange(1, 5).Draw(t, "damages") {
			from := rapid.IntRange(0, len(text)).Draw(t, "from")
			to := min(len(text), from+rapid.IntRange(0, 30).Draw(t, "length"))
			text = text[:from] + rapid.SampledFrom(pieces).Draw(t, "piece") + text[to:]
		}
		config, err := Parse("x.yaml", []byte(text))
		if err != nil {
			require.NotEmpty(t, faultsOf(err))
			return
		}
		require.NotEmpty(t, config.ListenAddresses())
	})
}

// Every name in the table must exist, or a misspelled row would support nothing.
func TestSupportedFieldsExist(t *testing.T) {
	for name, fields := range supported {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(name)
		require.NoError(t, err, name)
		for field, rule := range fields {
			require.NotNil(t, kind.Descriptor().Fields().ByName(field), "%s.%s", name, field)
			require.NotEmpty(t, rule.why, "%s.%s", name, field)
		}
	}
	for _, name := range opaque {
		_, err := protoregistry.GlobalTypes.FindMessageByName(name)
		require.NoError(t, err)
	}
}

func TestConfigIsTakenApart(t *testing.T) {
	c, err := Parse("x.yaml", []byte(`
node: {id: n1, cluster: c1}
static_resources:
  listeners:
  - address: {socket_address: {address: "::1", port_value: 80}}
    per_connection_buffer_limit_bytes: 1024
    traffic_direction: INBOUND
    filter_chains:
    - filters:
      - name: l4
        config_discovery:
          config_source: {path_config_source: {path: e.yaml, watched_directory: {path: dir}}}
          default_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, stat_prefix: a}
          type_urls: [type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC]
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: service
          idle_timeout: 0s
  clusters:
  - name: service
    type: STRICT_DNS
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: web, port_value: 81}}}
        - endpoint: {address: {pipe: {path: /run/a.sock}}}
`))
	require.NoError(t, err)
	require.Len(t, c.listeners, 1)
	l := c.listeners[0]
	require.NotNil(t, l.filters[0].discovery.fallback)
	l.filters[0].discovery.fallback = nil
	require.Equal(t, listenerConfig{
		name: "[::1]:80", path: "static_resources.listeners[0]", address: "[::1]:80", statPrefix: "[__1]_80", bufferSize: 1024, direction: 1,
		filters: []filterConfig{{discovery: &discoveryConfig{
			name: "l4", path: "e.yaml", watched: "dir", types: []string{"type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"},
		}}},
		tcp: tcpConfig{statPrefix: "tcp", cluster: "service", idleTimeout: 0, connectAttempts: 1},
	}, l)
	require.Equal(t, []clusterConfig{{
		name: "service", connectTimeout: 5 * time.Second, endpoints: []endpoint{{"tcp", "web:81"}, {"unix", "/run/a.sock"}},
	}}, c.clusters)
	require.Equal(t, []string{"e.yaml"}, c.DiscoveryFiles())
}

func TestExtensionConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "e.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write(`
version_info: "1"
resources:
- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
  name: l4
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
    config:
      name: l4dump
      configuration: {"@type": type.googleapis.com/google.protobuf.BytesValue, value: e30=}
      vm_config: {code: {local: {inline_bytes: AGFzbQ==}}}
`)
	read, err := readExtensionFile(file)
	require.NoError(t, err)
	require.Len(t, read.resources, 1)
	require.Equal(t, "1", read.version)
	require.Equal(t, "l4", read.resources[0].name)
	require.Equal(t, &host.Plugin{Name: "l4dump", Configuration: []byte("{}")}, read.resources[0].extension.plugin)

	write(`
resources:
- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
- "@type": type.googleapis.com/envoy.config.core.v3.Node
  id: a
control_plane: {identifier: x}
`)
	_, err = readExtensionFile(file)
	require.EqualError(t, err, "read "+file+`:
resources[0].name: value length must be at least 1 runes
resources[0].typed_config.stat_prefix: value length must be at least 1 runes
resources[0].typed_config.cluster_specifier: value is required
resources[0].typed_config: type envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy: not supported by the embedded engine; use Envoy
resources[1]: type envoy.config.core.v3.Node: not supported by the embedded engine; use Envoy
control_plane: not supported by the embedded engine; use Envoy`)
	_, err = readExtensionFile(file + ".none")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Empty(t, faultsOf(err))
}

// faultsOf returns the faults in an error of Load or Parse; nil if it is of another kind.
func faultsOf(err error) envoyapi.Faults {
	var faults envoyapi.Faults
	errors.As(err, &faults)
	return faults
}
