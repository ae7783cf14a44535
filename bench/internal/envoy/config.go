package envoy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tapconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/tap/v3"
	tapcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/tap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3" // in envoy.yaml
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"sigs.k8s.io/yaml"
)

const (
	service        = "service" // envoy.yaml's cluster
	anyPort        = "127.0.0.1:0"
	maxConnections = 1 << 20          // Envoy's default is 1024
	connectTimeout = 30 * time.Second // what connects at once may wait
	tapMaxRead     = 16 << 20         // more than Envoy reads at a time, so that no event is cut
)

// config is the project's envoy.yaml as a measurement changes it; everything else stays as users copy it.
type config struct {
	bootstrap *bootstrapv3.Bootstrap
	filters   *listenerv3.FilterChain
}

// readConfig reads envoy.yaml, and has it listen on any port and lead to service.
func readConfig(name string, to netip.AddrPort) (*config, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read Envoy's configuration: %w", err)
	}
	if text, err = yaml.YAMLToJSONStrict(text); err != nil {
		return nil, fmt.Errorf("read Envoy's configuration %s: %w", name, err)
	}
	c := &config{bootstrap: new(bootstrapv3.Bootstrap)}
	if err := protojson.Unmarshal(text, c.bootstrap); err != nil {
		return nil, fmt.Errorf("read Envoy's configuration %s: %w", name, err)
	}
	static := c.bootstrap.GetStaticResources()
	if len(static.GetListeners()) != 1 || len(static.Listeners[0].FilterChains) != 1 ||
		len(static.Listeners[0].FilterChains[0].Filters) != 2 {
		return nil, fmt.Errorf("read Envoy's configuration %s: want one listener with the plugin and tcp_proxy", name)
	}
	c.filters = static.Listeners[0].FilterChains[0]
	err = errors.Join(
		setAddress(c.bootstrap.GetAdmin().GetAddress(), anyPort),
		setAddress(static.Listeners[0].GetAddress(), anyPort),
		c.setService(to),
	)
	if err != nil {
		return nil, fmt.Errorf("read Envoy's configuration %s: %w", name, err)
	}
	return c, nil
}

func setAddress(a *corev3.Address, address string) error {
	socket := a.GetSocketAddress()
	if socket == nil {
		return errors.New("want a socket address")
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	socket.Address = to.Addr().String()
	socket.PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: uint32(to.Port())}
	return nil
}

func (c *config) setService(to netip.AddrPort) error {
	for _, cluster := range c.bootstrap.StaticResources.Clusters {
		if cluster.Name != service {
			continue
		}
		cluster.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     wrapperspb.UInt32(maxConnections),
			MaxPendingRequests: wrapperspb.UInt32(maxConnections),
		}}}
		cluster.ConnectTimeout = durationpb.New(connectTimeout)
		for _, locality := range cluster.GetLoadAssignment().GetEndpoints() {
			for _, e := range locality.LbEndpoints {
				return setAddress(e.GetEndpoint().GetAddress(), to.String())
			}
		}
	}
	return fmt.Errorf("want a cluster %q with an endpoint", service)
}

// apply puts a subject into the data path.
func (c *config) apply(s *Subject, module, tapPrefix string) error {
	if s.Plugin == "" {
		c.filters.Filters = c.filters.Filters[1:]
	} else if err := c.setPlugin(cmp.Or(s.Module, module), s.Plugin); err != nil {
		return err
	}
	if !s.Tapped {
		return nil
	}
	socket, err := tapSocket(s.Tap, tapPrefix)
	if err != nil {
		return err
	}
	c.filters.TransportSocket = socket
	return nil
}

func (c *config) setPlugin(module, configuration string) error {
	f := c.filters.Filters[0]
	wasm := new(wasmfilterv3.Wasm)
	if err := f.GetTypedConfig().UnmarshalTo(wasm); err != nil {
		return fmt.Errorf("read the plugin's filter: %w", err)
	}
	text, err := anypb.New(wrapperspb.String(configuration))
	if err != nil {
		return fmt.Errorf("make the plugin's configuration: %w", err)
	}
	wasm.Config.Configuration = text
	wasm.Config.GetVmConfig().Code = &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{
		Local: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: module}},
	}}
	typed, err := anypb.New(wasm)
	if err != nil {
		return fmt.Errorf("make the plugin's filter: %w", err)
	}
	f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: typed}
	return nil
}

// tapSocket is Envoy's tap of plaintext: a file for each connection, written while it lives, and no event cut.
func tapSocket(format tapconfigv3.OutputSink_Format, prefix string) (*corev3.TransportSocket, error) {
	raw, err := anypb.New(new(rawbufferv3.RawBuffer))
	if err != nil {
		return nil, fmt.Errorf("make the tap: %w", err)
	}
	typed, err := anypb.New(&tapv3.Tap{
		CommonConfig: &tapcommonv3.CommonExtensionConfig{
			ConfigType: &tapcommonv3.CommonExtensionConfig_StaticConfig{StaticConfig: &tapconfigv3.TapConfig{
				Match: &matcherv3.MatchPredicate{Rule: &matcherv3.MatchPredicate_AnyMatch{AnyMatch: true}},
				OutputConfig: &tapconfigv3.OutputConfig{
					Sinks: []*tapconfigv3.OutputSink{{
						Format: format,
						OutputSinkType: &tapconfigv3.OutputSink_FilePerTap{
							FilePerTap: &tapconfigv3.FilePerTapSink{PathPrefix: prefix},
						},
					}},
					MaxBufferedRxBytes: wrapperspb.UInt32(tapMaxRead),
					MaxBufferedTxBytes: wrapperspb.UInt32(tapMaxRead),
					Streaming:          true,
				},
			}},
		},
		TransportSocket: &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.raw_buffer",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: raw},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the tap: %w", err)
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tap",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed},
	}, nil
}

func writeConfig(name string, m proto.Message) error {
	text, err := protojson.Marshal(m)
	if err != nil {
		return fmt.Errorf("write Envoy's configuration: %w", err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return fmt.Errorf("write Envoy's configuration: %w", err)
	}
	return nil
}
