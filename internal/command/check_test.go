package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runCommand runs a command line and returns its exit code, standard output and standard error.
func runCommand(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Run(strings.NewReader(stdin), &out, &errs, args)
	return code, out.String(), errs.String()
}

// changedEnvoyYAML is the project's envoy.yaml with pairs of texts replaced.
func changedEnvoyYAML(t *testing.T, pairs ...string) string {
	text, err := os.ReadFile("../../envoy.yaml")
	require.NoError(t, err)
	changed := string(text)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, changed, pairs[i])
		changed = strings.Replace(changed, pairs[i], pairs[i+1], 1)
	}
	return changed
}

func TestCheck(t *testing.T) {
	const wasm = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.config"
	const manifest = `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
spec:
  configPatches:
  - applyTo: EXTENSION_CONFIG
    patch:
      value:
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            fail_open: true
            configuration:
              "@type": type.googleapis.com/google.protobuf.StringValue
              value: '{"strategy":{"duration":0}}'
`
	for _, row := range []struct {
		name, text string
		code       int
		want       string
	}{
		{"a plugin configuration", `{"strategy":{"switch":"ON"}}`, exitOK, "-: no fault in this plugin configuration\n"},
		{"an empty one", "", exitOK, "-: note: strategy.switch: is OFF: nothing is recorded unless a global strategy is ON\n-: no fault in this plugin configuration\n"},
		{
			"a plugin configuration with faults", `{"strategy":{"interval":1},"x":0}`, exitFound,
			"-: strategy.interval: want a whole number from 30 to 3600, got 1\n" +
				"-: \"x\": unknown key, want one of strategy, resource_guard, sidecar, fuse, capture, output\n",
		},
		{"neither", "hello", exitFound, "-: want valid JSON, but at byte 0: an unexpected 'h', want a value\n"},
		{"envoy.yaml", changedEnvoyYAML(t), exitOK, "-: no fault in this Envoy configuration\n"},
		{
			"envoy.yaml with faults of every kind",
			changedEnvoyYAML(t, `"switch": "ON"`, `"switch": "on"`, "fail_open: true", "fail_open: false",
				"connect_timeout: 1s", "connect_timeout: soon"),
			exitFound,
			"-: static_resources.clusters[0].connect_timeout: invalid value \"soon\": want a duration such as \"1.5s\"\n" +
				"-: " + wasm + ".configuration.value: strategy.switch: want \"ON\" or \"OFF\", got \"on\"\n" +
				"-: note: " + wasm + ".fail_open: is not true: a crash of the plugin would close live connections\n",
		},
		{
			"what only the embedded engine lacks",
			changedEnvoyYAML(t, "          stat_prefix: tcp\n", "          stat_prefix: tcp\n          max_downstream_connection_duration: 3600s\n"),
			exitOK,
			"-: note: static_resources.listeners[0].filter_chains[0].filters[1].typed_config.max_downstream_connection_duration: " +
				"not supported by the embedded engine; use Envoy\n-: no fault in this Envoy configuration\n",
		},
		{
			"a filter after the plugin that may leave bytes",
			changedEnvoyYAML(t, "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "envoy.extensions.filters.network.echo.v3.Echo",
				"          stat_prefix: tcp\n          cluster: service\n", ""),
			exitOK,
			"-: note: static_resources.listeners[0].filter_chains[0].filters[1].typed_config.@type: unknown type " +
				"\"type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo\": not supported by the embedded engine; use Envoy\n" +
				"-: note: static_resources.listeners[0].filter_chains[0].filters: want envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy " +
				"as the last filter: another is not supported by the embedded engine; use Envoy\n" +
				"-: note: " + wasm + ".configuration.value.capture.next_filter: is not set, and envoy.extensions.filters.network.echo.v3.Echo ends the filter chain: " +
				"bytes that it leaves in the proxy's buffer are in the dump twice\n" +
				"-: no fault in this Envoy configuration\n",
		},
		{
			"a type that does not exist", changedEnvoyYAML(t, "tcp_proxy.v3.TcpProxy", "tcp_proxy.v3.TcpProxi"), exitFound,
			"-: static_resources.listeners[0].filter_chains[0].filters[1].typed_config.@type: unknown type " +
				"\"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxi\"\n" +
				"-: note: static_resources.listeners[0].filter_chains[0].filters: want envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy " +
				"as the last filter: another is not supported by the embedded engine; use Envoy\n" +
				"-: note: " + wasm + ".configuration.value.capture.next_filter: is not set, and envoy.extensions.filters.network.tcp_proxy.v3.TcpProxi ends the filter chain: " +
				"bytes that it leaves in the proxy's buffer are in the dump twice\n",
		},
		{
			"a Struct", changedEnvoyYAML(t, "google.protobuf.StringValue", "google.protobuf.Struct", "value: |", "value: {a: 1}\n            x: |"), exitFound,
			"-: " + wasm + ".x: unknown field\n-: " + wasm + ".configuration: want a google.protobuf.StringValue " +
				"that holds the JSON text: another message reaches the plugin as protobuf bytes\n",
		},
		{
			"YAML that is none", "static_resources:\n  listeners: [\n", exitFound,
			"-: want YAML or JSON: yaml: line 2: did not find expected node content\n",
		},
		{
			"no cluster for the sidecar", changedEnvoyYAML(t, "name: l4dump-sidecar", "name: sidecar"), exitFound,
			"-: " + wasm + ".configuration.value.sidecar.cluster: want one of static_resources.clusters, got \"l4dump-sidecar\": " +
				"without its sidecar the plugin records nothing\n",
		},
		{
			"a manifest with a field that Envoy does not know",
			strings.Replace(strings.Replace(manifest, "fail_open: true", "fail_open: true\n            fail_opem: true", 1), "0}", "5}", 1),
			exitFound,
			"-: spec.configPatches[0].patch.value.typed_config.config.fail_opem: unknown field\n" +
				"-: note: spec.configPatches[0].patch.value.typed_config.config.configuration.value.strategy.switch: " +
				"is OFF: nothing is recorded unless a global strategy is ON\n",
		},
		{
			"a manifest", manifest, exitFound,
			"-: spec.configPatches[0].patch.value.typed_config.config.configuration.value: " +
				"strategy.duration: want a whole number from 1 to 3599, got 0\n",
		},
		{
			"a WasmPlugin", "apiVersion: extensions.istio.io/v1alpha1\nspec:\n  type: NETWORK\n  failStrategy: FAIL_OPEN\n  pluginConfig: {strategy: {interval: 1}}\n", exitFound,
			"-: spec.pluginConfig: strategy.interval: want a whole number from 30 to 3600, got 1\n",
		},
		{
			"no plugin in it", "resources: []\n", exitFound, "-: want a network wasm filter of l4dump, found none\n",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(row.text, "check", "-")
			require.Equal(t, row.code, code, stdout)
			require.Equal(t, row.want, stdout)
			require.Empty(t, stderr)
		})
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	require.NoError(t, os.WriteFile(good, []byte(`{}`), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte(`[]`), 0o600))

	code, stdout, stderr := runCommand("", "check", good, bad)
	require.Equal(t, exitFound, code)
	require.Equal(t, good+": note: strategy.switch: is OFF: nothing is recorded unless a global strategy is ON\n"+good+": no fault in this plugin configuration\n"+bad+": want an object, got a list\n", stdout)
	require.Empty(t, stderr)

	code, stdout, _ = runCommand("", "check", "--json", bad)
	require.Equal(t, exitFound, code)
	require.JSONEq(t, `[{"file":"`+bad+`","kind":"plugin configuration",
		"faults":[{"path":"","message":"want an object, got a list"}],"notes":[]}]`, stdout)

	code, _, stderr = runCommand("", "check", filepath.Join(dir, "none"))
	require.Equal(t, exitFound, code)
	require.Equal(t, "l4dump: open "+filepath.Join(dir, "none")+": no such file or directory\n", stderr)

	code, _, stderr = runCommand("", "check")
	require.Equal(t, exitUsage, code)
	require.Equal(t, "l4dump: want a FILE, or \"-\" for standard input\nRun 'l4dump check --help' for the usage.\n", stderr)
}
