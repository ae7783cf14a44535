package diagnosis

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each bootstrap is judged here and by every Envoy in build/envoy (see the Makefile): they must agree whether it is
// accepted. The rows with a plugin of l4dump have a good configuration, so that only the form around it counts.
func TestVerdictIsEnvoys(t *testing.T) {
	const head = "static_resources:\n  clusters:\n  - name: c\n    load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}\n"
	chain := func(tcp string) string {
		return head + "  listeners:\n  - name: l\n    address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n    filter_chains:\n    - filters:\n      - name: t\n        typed_config: " + tcp + "\n"
	}
	const tcp = "{'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: c"
	const exponent = "a number with an exponent"
	rows := []struct {
		name, text string
		accepted   bool // by the newest Envoy
	}{
		{"nothing but a node", "node: {id: a, cluster: b}\n", true},
		{"a cluster", head, true},
		{"an enum in lower case", head + "    type: strict_dns\n    lb_policy: Round_Robin\n", true},
		{"an enum with a hyphen", head + "    type: strict-dns\n", false},
		{"an enum that does not exist", head + "    type: STRICT\n", false},
		{"an enum as a number", head + "    type: 1\n", true},
		{"an enum as a number in quotes", head + "    type: \"1\"\n", true},
		{"an enum as null", head + "    type: ~\n", true},
		{"camelCase", head + "    connectTimeout: 1s\n    lbPolicy: ROUND_ROBIN\n", true},
		{"a field in both spellings", head + "    connectTimeout: 2s\n    connect_timeout: 1s\n", true},
		{"a key twice", head + "    connect_timeout: 2s\n    connect_timeout: 1s\n", true},
		{"an unknown field", head + "    connect_timeou: 1s\n", false},
		{"an ignored key", "!ignore defaults: [1, 2]\n" + head, true},
		{"an ignored value", "defaults: !ignore [1, 2]\n" + head, false},
		{"an alias", "!ignore a: &a 1s\n" + head + "    connect_timeout: *a\n", true},
		{"a merge key", "!ignore a: &a {connect_timeout: 1s}\n" + head + "    <<: *a\n", false},
		{exponent, head + "    per_connection_buffer_limit_bytes: 1.048576e+06\n", true},
		{"a number that is not whole", head + "    per_connection_buffer_limit_bytes: 5.5\n", false},
		{"a hexadecimal number", head + "    per_connection_buffer_limit_bytes: 0x100\n", true},
		{"an octal number", head + "    per_connection_buffer_limit_bytes: 0100000\n", true},
		{"a number with an underscore", head + "    per_connection_buffer_limit_bytes: 1_000\n", false},
		{"a number in quotes", head + "    per_connection_buffer_limit_bytes: \"0256\"\n", true},
		{"a number over 32 bits", head + "    per_connection_buffer_limit_bytes: 4294967296\n", false},
		{"the largest of 32 bits", head + "    per_connection_buffer_limit_bytes: 4294967295\n", true},
		{"a text that is a fraction", head + "    alt_stat_name: 1.5\n", true},
		{"a text that is an integer", head + "    alt_stat_name: 5\n", false},
		{"a text that is a boolean", head + "    alt_stat_name: on\n", false},
		{"a boolean of YAML 1.1", head + "    ignore_health_on_host_removal: yes\n", true},
		{"a short boolean", head + "    ignore_health_on_host_removal: y\n", true},
		{"a boolean in quotes", head + "    ignore_health_on_host_removal: \"true\"\n", true},
		{"a number for a boolean", head + "    ignore_health_on_host_removal: 1\n", false},
		{"null for a message", head + "    metadata:\n", true},
		{"a list of one without the list", head + "    health_checks: {timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {}}\n", true},
		{"a message in a list", "node: [{id: a}]\n", false},
		{"a duration without a unit", head + "    connect_timeout: 5\n", false},
		{"a duration that its bounds refuse", head + "    connect_timeout: 0s\n", false},
		{"two of a oneof", "admin: {address: {socket_address: {address: \"::1\", port_value: 0}, pipe: {path: /a}}}\n", false},
		{"an administration without an address", "admin: {}\n", true},
		{"a name as the administration's address", "admin: {address: {socket_address: {address: localhost, port_value: 0}}}\n", false},
		{"a name in a static cluster", strings.Replace(head, "127.0.0.1", "host", 1), false},
		{"a name in a cluster that resolves", strings.Replace(head, "127.0.0.1", "host", 1) + "    type: STRICT_DNS\n", true},
		{"two clusters of one name", head + "  - {name: c}\n", false},
		{"a cluster without a name", head + "  - {name: \"\"}\n", false},
		{"listeners in another file", "dynamic_resources: {lds_config: {path_config_source: {path: none.yaml}}}\n", true},
		{"two documents", head + "---\nfoo: 1\n", true},
		{"a TCP proxy", chain(tcp + "}"), true},
		{"a TCP proxy to no cluster", chain(strings.Replace(tcp, "cluster: c", "cluster: d", 1) + "}"), true},
		{"a TCP proxy without a prefix", chain(strings.Replace(tcp, "stat_prefix: t, ", "", 1) + "}"), false},
		{"a TCP proxy with an unknown field", chain(tcp + ", prefix: a}"), false},
		{"TypedStruct of udpa", chain("{'@type': type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, value: {stat_prefix: t, cluster: c}}"), true},
		{"TypedStruct of xds", chain("{'@type': type.googleapis.com/xds.type.v3.TypedStruct, typeUrl: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, value: {statPrefix: t, cluster: c}}"), true},
		{"TypedStruct with an unknown field", chain("{'@type': type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, value: {stat_prefix: t, cluster: c, x: 1}}"), false},
		{"a filter that only Envoy knows", chain("{'@type': type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}"), true},
		{"a filter that nobody knows", chain(strings.Replace(tcp, "TcpProxy", "TcpProxi", 1) + "}"), false},
		{"a listener without a chain", head + "  listeners: [{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 0}}}]\n", false},
		{"discovery without a node", discovery(chain(tcp+"}"), ""), false},
		{"discovery with a node", discovery(chain(tcp+"}"), "node: {id: a, cluster: b}\n"), true},
		{"the plugin", plugin(chain(tcp+"}"), "fail_open: true"), true},
		{"the plugin with a BytesValue", strings.NewReplacer("StringValue", "BytesValue", `'{"strategy": {"switch": "ON"}, "resource_guard": "off"}'`, "eyJyZXNvdXJjZV9ndWFyZCI6Im9mZiJ9").Replace(plugin(chain(tcp+"}"), "failOpen: true")), true},
		{"the plugin with two policies", plugin(chain(tcp+"}"), "fail_open: true, failure_policy: fail_open"), false},
		{"the plugin with a policy in lower case", plugin(chain(tcp+"}"), "failure_policy: fail_open"), true},
		{"the plugin with an unknown field", plugin(chain(tcp+"}"), "fail_opem: true"), false},
	}
	dir := t.TempDir()
	envoys, err := filepath.Glob("../../build/envoy/*/bin/envoy")
	require.NoError(t, err)
	if len(envoys) == 0 && !testing.Short() {
		require.NotEqual(t, "true", os.Getenv("CI"), "no Envoy is installed to compare with: run make envoy")
		t.Log("compared with no Envoy, as none is installed: run make envoy")
	}
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			report := File("-", []byte(row.text), func(string) ([]byte, error) { return nil, os.ErrNotExist })
			faults := []string{}
			for _, fault := range report.Faults {
				if fault.Message != "want a network wasm filter of l4dump, found none" {
					faults = append(faults, fault.String())
				}
			}
			require.Equal(t, row.accepted, len(faults) == 0, faults)
			if testing.Short() {
				return
			}
			file := filepath.Join(dir, strings.ReplaceAll(row.name, " ", "-")+".yaml")
			require.NoError(t, os.WriteFile(file, []byte(row.text), 0o600))
			for _, envoy := range envoys {
				if row.name == exponent && !strings.Contains(envoy, "1.40.") {
					continue // an older one wants digits only
				}
				command := exec.Command(envoy, "--mode", "validate", "--log-level", "error", "--disable-hot-restart", "-c", file)
				output, err := command.CombinedOutput()
				require.Equal(t, row.accepted, err == nil, "row %d, %s: %s", i, envoy, output)
			}
		})
	}
}

// module has no callbacks: memory, malloc and the version of the ABI.
const module = "AGFzbQEAAAABCQJgAABgAX8BfwMDAgABBQMBAAEHLQMGbWVtb3J5AgAXcHJveHlfYWJpX3ZlcnNpb25fMF8yXzEAAAZtYWxsb2MAAQoJAgIACwQAIAAL"

// plugin puts a Wasm filter before the TCP proxy of a bootstrap.
func plugin(bootstrap, policy string) string {
	return strings.Replace(bootstrap, "    - filters:\n", `    - filters:
      - name: rec
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            {name: l4dump, `+policy+`,
             configuration: {"@type": type.googleapis.com/google.protobuf.StringValue, value: '{"strategy": {"switch": "ON"}, "resource_guard": "off"}'},
             vm_config: {runtime: envoy.wasm.runtime.v8, code: {local: {inline_bytes: "`+module+`"}}}}
`, 1)
}

// discovery puts a filter whose configuration is in another file before the TCP proxy of a bootstrap.
func discovery(bootstrap, node string) string {
	return node + strings.Replace(bootstrap, "    - filters:\n", `    - filters:
      - name: rec
        config_discovery:
          config_source: {path_config_source: {path: /dev/null}}
          type_urls: [type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm]
`, 1)
}
