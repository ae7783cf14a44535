package envoy

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	tapconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/tap/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	tapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tap/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"l4dump/strategy"
)

const example = "../../../envoy.yaml"

var to = netip.MustParseAddrPort("127.0.0.1:4321")

// TestSubjects has each subject in the project's own configuration.
func TestSubjects(t *testing.T) {
	for _, row := range []struct {
		name    string
		subject Subject
		filters []string
		plugin  string
		tap     tapconfigv3.OutputSink_Format
		tapped  bool
	}{
		{"control", NoFilter(), []string{"envoy.filters.network.tcp_proxy"}, "", 0, false},
		{"plugin", Subject{Plugin: Idle}, []string{"l4dump", "envoy.filters.network.tcp_proxy"}, Idle, 0, false},
		{"JSON", TapJSON(), []string{"envoy.filters.network.tcp_proxy"}, "", tapconfigv3.OutputSink_JSON_BODY_AS_BYTES, true},
		{
			"binary", TapBinary(),
			[]string{"envoy.filters.network.tcp_proxy"},
			"",
			tapconfigv3.OutputSink_PROTO_BINARY_LENGTH_DELIMITED, true,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := readConfig(example, to)
			require.NoError(t, err)
			require.NoError(t, c.apply(&row.subject, "module.wasm", "dir/tap"))
			require.NoError(t, c.bootstrap.ValidateAll())

			var names []string
			for _, f := range c.filters.Filters {
				names = append(names, f.Name)
			}
			require.Equal(t, row.filters, names)
			if row.plugin != "" {
				wasm, text := new(wasmfilterv3.Wasm), new(wrapperspb.StringValue)
				require.NoError(t, c.filters.Filters[0].GetTypedConfig().UnmarshalTo(wasm))
				require.Equal(t, "module.wasm", wasm.Config.GetVmConfig().Code.GetLocal().GetFilename())
				require.NoError(t, wasm.Config.Configuration.UnmarshalTo(text))
				require.Equal(t, row.plugin, text.Value)
			}
			require.Equal(t, row.tapped, c.filters.TransportSocket != nil)
			if row.tapped {
				tap := new(tapv3.Tap)
				require.NoError(t, c.filters.TransportSocket.GetTypedConfig().UnmarshalTo(tap))
				require.NoError(t, tap.ValidateAll())
				sink := tap.CommonConfig.GetStaticConfig().OutputConfig.Sinks[0]
				require.Equal(t, row.tap, sink.Format)
				require.Equal(t, "dir/tap", sink.GetFilePerTap().PathPrefix)
			}
			require.Zero(t, c.bootstrap.Admin.Address.GetSocketAddress().GetPortValue())
			require.Zero(t, c.bootstrap.StaticResources.Listeners[0].Address.GetSocketAddress().GetPortValue())
		})
	}
}

// TestPlugins has the configurations of the rows: the plugin must take them.
func TestPlugins(t *testing.T) {
	for _, row := range []struct{ name, text string }{
		{"idle", Idle},
		{"window closed", Closed},
		{"not admitted", NotAdmitted},
		{"budget", Budget},
		{"everything", Everything},
		{"long lines", LongLines},
		{"long writes", LongWrites},
		{"masked", Masked},
		{"layotto", Layotto},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := strategy.Parse([]byte(row.text))
			require.NoError(t, err)
		})
	}
}

func TestReadConfigFaults(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"no YAML", "{", "yaml"},
		{"not Envoy's", "nonsense: 1", `unknown field "nonsense"`},
		{"no listener", "static_resources: {}", "want one listener with the plugin and tcp_proxy"},
		{
			"no service",
			"static_resources: {listeners: [{filter_chains: [{filters: [{name: a}, {name: b}]}]}]}",
			`want a cluster "service" with an endpoint`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "envoy.yaml")
			require.NoError(t, os.WriteFile(name, []byte(row.text), 0o600))
			_, err := readConfig(name, to)
			require.ErrorContains(t, err, row.want)
			require.ErrorContains(t, err, name)
		})
	}
	_, err := readConfig(filepath.Join(t.TempDir(), "missing"), to)
	require.ErrorIs(t, err, os.ErrNotExist)
}
