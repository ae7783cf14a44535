package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	managerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"sigs.k8s.io/yaml"
)

// plugins are the configurations of the plugin in a proxy, by the names of the listeners that it is attached to.
type plugins map[string]string

// listenerName is the example's only listener. Others are made after it.
const listenerName = "tcp"

// config is the example's envoy.yaml with the ports, paths and plugin configurations of a test. Everything else stays
// as users copy it.
type config struct {
	bootstrap *bootstrapv3.Bootstrap
}

// newConfig returns the example with one listener for each of the plugins, all of them in front of service. A plugin
// configuration that is empty is the example's own.
func newConfig(t *testing.T, service string, p plugins) *config {
	t.Helper()
	text, err := os.ReadFile("../envoy.yaml")
	require.NoError(t, err)
	text, err = yaml.YAMLToJSONStrict(text)
	require.NoError(t, err)
	c := &config{bootstrap: new(bootstrapv3.Bootstrap)}
	require.NoError(t, protojson.Unmarshal(text, c.bootstrap))

	setPort(t, c.bootstrap.Admin.Address, "127.0.0.1:0")
	static := c.bootstrap.StaticResources
	require.NotEmpty(t, static.Clusters)
	endpoints := static.Clusters[0].LoadAssignment.Endpoints
	require.Len(t, endpoints, 1)
	require.Len(t, endpoints[0].LbEndpoints, 1)
	setPort(t, endpoints[0].LbEndpoints[0].GetEndpoint().Address, service)

	require.Len(t, static.Listeners, 1)
	example := static.Listeners[0]
	require.Equal(t, listenerName, example.Name)
	setPort(t, example.Address, "127.0.0.1:0")
	static.Listeners = nil
	for _, name := range slices.Sorted(maps.Keys(p)) {
		plugin := p[name]
		l := proto.CloneOf(example)
		l.Name = name
		static.Listeners = append(static.Listeners, l)
		c.change(t, name, func(w *wasmv3.PluginConfig) {
			w.GetVmConfig().Code = localFile(module(t))
			if plugin != "" {
				w.Configuration = mustAny(t, wrapperspb.String(plugin))
			}
		})
	}
	return c
}

func setPort(t *testing.T, a *corev3.Address, address string) {
	t.Helper()
	to, err := netip.ParseAddrPort(address)
	require.NoError(t, err)
	socket := a.GetSocketAddress()
	require.NotNil(t, socket)
	socket.Address = to.Addr().String()
	socket.PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: uint32(to.Port())}
}

func localFile(name string) *corev3.AsyncDataSource {
	return &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{
		Local: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: name}},
	}}
}

func mustAny(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	require.NoError(t, err)
	return a
}

// listener returns a listener by its name.
func (c *config) listener(t *testing.T, name string) *listenerv3.Listener {
	t.Helper()
	for _, l := range c.bootstrap.StaticResources.Listeners {
		if l.Name == name {
			return l
		}
	}
	require.Fail(t, fmt.Sprintf("no listener %q", name))
	return nil
}

// filters returns a listener's filters: the plugin and what comes after it.
func (c *config) filters(t *testing.T, listener string) []*listenerv3.Filter {
	t.Helper()
	l := c.listener(t, listener)
	require.Len(t, l.FilterChains, 1)
	require.Len(t, l.FilterChains[0].Filters, 2)
	return l.FilterChains[0].Filters
}

// speakHTTP puts an HTTP connection manager after the plugin at a listener, instead of tcp_proxy. It takes HTTP/1.1 and
// HTTP/2, and speaks HTTP/1.1 with the service. The engine does not support it.
func (c *config) speakHTTP(t *testing.T, listener string) {
	t.Helper()
	cluster := c.bootstrap.StaticResources.Clusters[0].Name
	next := c.filters(t, listener)[1]
	next.Name = "envoy.filters.network.http_connection_manager"
	next.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: mustAny(t, &managerv3.HttpConnectionManager{
		StatPrefix: "http",
		RouteSpecifier: &managerv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			VirtualHosts: []*routev3.VirtualHost{{
				Name: "all", Domains: []string{"*"},
				Routes: []*routev3.Route{{
					Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
					Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
				}},
			}},
		}},
		HttpFilters: []*managerv3.HttpFilter{{
			Name:       "envoy.filters.http.router",
			ConfigType: &managerv3.HttpFilter_TypedConfig{TypedConfig: mustAny(t, new(routerv3.Router))},
		}},
	})}
}

// change changes the plugin at a listener.
func (c *config) change(t *testing.T, listener string, change func(*wasmv3.PluginConfig)) {
	t.Helper()
	f := c.filters(t, listener)[0]
	wasm := new(wasmfilterv3.Wasm)
	require.NoError(t, f.GetTypedConfig().UnmarshalTo(wasm))
	change(wasm.Config)
	f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: mustAny(t, wasm)}
}

// discover moves the plugin's configuration at a listener to a file that the proxy watches (extension config
// discovery), and returns the file.
func (c *config) discover(t *testing.T, listener string) *discovered {
	t.Helper()
	f := c.filters(t, listener)[0]
	d := &discovered{path: filepath.Join(t.TempDir(), "discovered.json"), name: f.Name, wasm: new(wasmfilterv3.Wasm)}
	require.NoError(t, f.GetTypedConfig().UnmarshalTo(d.wasm))
	f.ConfigType = &listenerv3.Filter_ConfigDiscovery{ConfigDiscovery: &corev3.ExtensionConfigSource{
		ConfigSource: &corev3.ConfigSource{
			ResourceApiVersion: corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
				PathConfigSource: &corev3.PathConfigSource{Path: d.path},
			},
		},
		TypeUrls: []string{mustAny(t, d.wasm).TypeUrl},
	}}
	c.bootstrap.Node = &corev3.Node{Id: "l4dump", Cluster: "l4dump"} // which discovery cannot do without
	d.write(t)
	return d
}

// discovered is a file with a plugin's configuration that a proxy watches.
type discovered struct {
	path    string
	name    string
	wasm    *wasmfilterv3.Wasm
	version int
}

// update replaces the plugin's configuration.
func (d *discovered) update(t *testing.T, plugin string) {
	t.Helper()
	d.wasm.Config.Configuration = mustAny(t, wrapperspb.String(plugin))
	d.write(t)
}

// write replaces the file by a rename, which is what proxies watch for.
func (d *discovered) write(t *testing.T) {
	t.Helper()
	d.version++
	extension := &corev3.TypedExtensionConfig{Name: d.name, TypedConfig: mustAny(t, d.wasm)}
	writeJSON(t, d.path+".next", &discoveryv3.DiscoveryResponse{
		VersionInfo: fmt.Sprint(d.version), Resources: []*anypb.Any{mustAny(t, extension)},
	})
	require.NoError(t, os.Rename(d.path+".next", d.path))
}

func writeJSON(t *testing.T, name string, m proto.Message) {
	t.Helper()
	text, err := protojson.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, text, 0o600))
}
