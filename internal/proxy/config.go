// Package proxy runs the TCP listeners of an Envoy configuration file, with the plugins in them on package host.
//
// What the file may hold is a small part of Envoy's configuration; whatever else is set is a fault that [Load] names, so
// that nothing is left out in silence.
package proxy

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"l4dump/internal/envoyapi"
)

// maxBuffer is the most that is read at once from a connection, in bytes.
const maxBuffer = 64 << 10

// Envoy's defaults.
const (
	defaultConnectTimeout = 5 * time.Second
	defaultIdleTimeout    = time.Hour
)

// Config is a configuration file that the engine can run.
type Config struct {
	// File is the name of the file, for messages.
	File string
	// Bootstrap is what the file says.
	Bootstrap *bootstrapv3.Bootstrap

	listeners []listenerConfig
	clusters  []clusterConfig
}

type listenerConfig struct {
	name, path string
	address    string // host:port as configured
	statPrefix string
	bufferSize int
	direction  int64
	filters    []filterConfig
	tcp        tcpConfig
}

// filterConfig is a filter in front of the TCP proxy: exactly one of its fields is set.
type filterConfig struct {
	extension *extensionConfig
	discovery *discoveryConfig
}

type tcpConfig struct {
	statPrefix, cluster string
	idleTimeout         time.Duration // 0: none
	connectAttempts     int
}

type clusterConfig struct {
	name           string
	connectTimeout time.Duration
	endpoints      []endpoint
}

// endpoint is an address for net.Dial.
type endpoint struct{ network, address string }

// Load reads the configuration in a file of YAML or JSON. The error holds an envoyapi.Faults: all of them.
func Load(file string) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(file, text)
}

// Parse reads a configuration; file is its name, for messages. The error holds an envoyapi.Faults: all of them.
func Parse(file string, text []byte) (*Config, error) {
	c := &Config{File: file, Bootstrap: new(bootstrapv3.Bootstrap)}
	faults := load(text, c.Bootstrap, c.build)
	if len(faults) > 0 {
		return nil, fmt.Errorf("read %s:\n%w", file, faults)
	}
	return c, nil
}

// Check returns the faults of a bootstrap, and the bootstrap as far as it can be read.
func Check(content envoyapi.Content) (*bootstrapv3.Bootstrap, envoyapi.Faults) {
	c := &Config{Bootstrap: new(bootstrapv3.Bootstrap)}
	return c.Bootstrap, loadContent(content, c.Bootstrap, c.build)
}

// build takes the Bootstrap apart. It has been checked for what is not supported, but may hold any faults.
func (c *Config) build(faults *envoyapi.Faults) {
	static := c.Bootstrap.GetStaticResources()
	if len(static.GetListeners()) == 0 {
		faults.AddAccepted("static_resources.listeners", "want at least one listener: none is "+envoyapi.NotSupported)
	}
	known := make(map[string]bool)
	for i, cluster := range static.GetClusters() {
		path := fmt.Sprintf("static_resources.clusters[%d]", i)
		if known[cluster.GetName()] {
			faults.Add(path+".name", fmt.Sprintf("the name %q is taken by another cluster", cluster.GetName()))
		}
		known[cluster.GetName()] = true
		c.clusters = append(c.clusters, buildCluster(cluster, path, faults))
	}
	names := make(map[string]bool)
	for i, listener := range static.GetListeners() {
		path := fmt.Sprintf("static_resources.listeners[%d]", i)
		if name := listener.GetName(); name != "" && names[name] {
			faults.Add(path+".name", fmt.Sprintf("the name %q is taken by another listener", name))
		}
		names[listener.GetName()] = true
		c.listeners = append(c.listeners, buildListener(listener, path, known, faults))
	}
	if node := c.Bootstrap.GetNode(); len(c.DiscoveryFiles()) > 0 && (node.GetId() == "" || node.GetCluster() == "") {
		faults.Add("node", "want id and cluster, because a filter has config_discovery")
	}
	if admin := c.Bootstrap.GetAdmin(); admin != nil {
		if admin.GetAddress() == nil {
			faults.AddAccepted("admin.address", "want a socket_address: none is "+envoyapi.NotSupported)
		} else {
			listenAddress(admin.GetAddress(), "admin.address", faults)
		}
	}
}

func buildListener(listener *listenerv3.Listener, path string, clusters map[string]bool, faults *envoyapi.Faults) listenerConfig {
	l := listenerConfig{name: listener.GetName(), path: path, bufferSize: maxBuffer, direction: int64(listener.GetTrafficDirection())}
	if limit := listener.GetPerConnectionBufferLimitBytes(); limit != nil && limit.GetValue() > 0 {
		l.bufferSize = int(min(limit.GetValue(), maxBuffer))
	}
	l.address = listenAddress(listener.GetAddress(), path+".address", faults)
	if l.name == "" {
		l.name = l.address
	}
	l.statPrefix = listener.GetStatPrefix()
	if l.statPrefix == "" {
		l.statPrefix = statName(l.address)
	}
	chains := listener.GetFilterChains()
	switch {
	case len(chains) == 0 && listener.GetDefaultFilterChain() == nil:
		faults.Add(path+".filter_chains", "want a filter chain")
		return l
	case len(chains) != 1:
		faults.AddAccepted(path+".filter_chains", fmt.Sprintf("want one filter chain, not %d: that is %s", len(chains), envoyapi.NotSupported))
		return l
	}
	filters := chains[0].GetFilters()
	path += ".filter_chains[0].filters"
	if len(filters) == 0 || filters[len(filters)-1].GetTypedConfig().MessageName() != tcpProxyType {
		faults.AddAccepted(path, "want "+string(tcpProxyType)+" as the last filter: another is "+envoyapi.NotSupported)
		return l
	}
	last := len(filters) - 1
	for i, filter := range filters[:last] {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case filter.GetConfigDiscovery() != nil:
			l.filters = append(l.filters, filterConfig{discovery: buildDiscovery(filter, at+".config_discovery", faults)})
		case filter.GetTypedConfig().MessageName() == wasmType:
			l.filters = append(l.filters, filterConfig{extension: buildExtension(filter.GetTypedConfig(), at+".typed_config", faults)})
		case filter.GetTypedConfig() == nil:
			faults.Add(at, "want typed_config or config_discovery")
		case filter.GetTypedConfig().MessageName() == tcpProxyType:
			faults.Add(at, "a TCP proxy must be the last filter")
		}
	}
	l.tcp = buildTCP(filters[last].GetTypedConfig(), fmt.Sprintf("%s[%d].typed_config", path, last), clusters, faults)
	return l
}

func buildTCP(config *anypb.Any, path string, clusters map[string]bool, faults *envoyapi.Faults) tcpConfig {
	tcp := new(tcpproxyv3.TcpProxy)
	if err := config.UnmarshalTo(tcp); err != nil {
		faults.Add(path, err.Error())
		return tcpConfig{}
	}
	t := tcpConfig{statPrefix: tcp.GetStatPrefix(), cluster: tcp.GetCluster(), idleTimeout: defaultIdleTimeout, connectAttempts: 1}
	if !clusters[t.cluster] && t.cluster != "" {
		faults.AddAccepted(path+".cluster", fmt.Sprintf("unknown cluster %q: connections are closed until there is one", t.cluster))
	}
	if tcp.GetIdleTimeout() != nil {
		t.idleTimeout = tcp.GetIdleTimeout().AsDuration()
	}
	if tcp.GetMaxConnectAttempts() != nil {
		t.connectAttempts = int(tcp.GetMaxConnectAttempts().GetValue())
	}
	return t
}

func buildCluster(cluster *clusterv3.Cluster, path string, faults *envoyapi.Faults) clusterConfig {
	c := clusterConfig{name: cluster.GetName(), connectTimeout: defaultConnectTimeout}
	if cluster.GetConnectTimeout() != nil {
		c.connectTimeout = cluster.GetConnectTimeout().AsDuration()
	}
	static := cluster.GetType() == clusterv3.Cluster_STATIC && cluster.GetClusterType() == nil
	for i, locality := range cluster.GetLoadAssignment().GetEndpoints() {
		for j, lb := range locality.GetLbEndpoints() {
			at := fmt.Sprintf("%s.load_assignment.endpoints[%d].lb_endpoints[%d].endpoint.address", path, i, j)
			address := lb.GetEndpoint().GetAddress()
			if pipe := address.GetPipe(); pipe != nil {
				c.endpoints = append(c.endpoints, endpoint{"unix", pipe.GetPath()})
				continue
			}
			socket := address.GetSocketAddress()
			if socket == nil {
				faults.Add(at, "want a socket_address or a pipe")
				continue
			}
			if static && net.ParseIP(socket.GetAddress()) == nil {
				faults.Add(at+".socket_address.address", fmt.Sprintf("malformed IP address %q: a name needs a cluster of type STRICT_DNS", socket.GetAddress()))
			}
			c.endpoints = append(c.endpoints, endpoint{"tcp", net.JoinHostPort(socket.GetAddress(), strconv.Itoa(int(socket.GetPortValue())))})
		}
	}
	if cluster.GetType() == clusterv3.Cluster_LOGICAL_DNS && len(c.endpoints) != 1 {
		faults.Add(path+".load_assignment", "a cluster of type LOGICAL_DNS must have exactly one endpoint")
	}
	return c
}

// listenAddress returns host:port.
func listenAddress(address *corev3.Address, path string, faults *envoyapi.Faults) string {
	socket := address.GetSocketAddress()
	if socket == nil {
		if address != nil {
			faults.AddAccepted(path, "want a socket_address: another is "+envoyapi.NotSupported)
		} else {
			faults.Add(path, "want an address")
		}
		return ""
	}
	if net.ParseIP(socket.GetAddress()) == nil {
		faults.Add(path+".socket_address.address", fmt.Sprintf("malformed IP address %q", socket.GetAddress()))
	}
	return net.JoinHostPort(socket.GetAddress(), strconv.Itoa(int(socket.GetPortValue())))
}

// ListenAddresses returns the addresses of the listeners, host:port, as the file has them.
func (c *Config) ListenAddresses() []string {
	var addresses []string
	for _, l := range c.listeners {
		addresses = append(addresses, l.address)
	}
	return addresses
}

// ClusterAddress returns the first address of a cluster as the sidecar writes it, host:port or unix:///path; empty if the
// file has none.
func (c *Config) ClusterAddress(name string) string {
	for _, cluster := range c.clusters {
		if cluster.name != name || len(cluster.endpoints) == 0 {
			continue
		}
		if first := cluster.endpoints[0]; first.network == "unix" {
			return "unix://" + first.address
		}
		return cluster.endpoints[0].address
	}
	return ""
}

// AdminURL returns where this machine reaches the administration interface of the bootstrap in a file, http://host:port,
// also if the engine does not support the rest of the file; empty if the file has none, lets the system choose its port,
// or cannot be read.
func AdminURL(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	documents, err := envoyapi.Documents(text)
	if err != nil || len(documents) == 0 {
		return ""
	}
	content, err := documents[0].Envoy()
	if err != nil {
		return ""
	}
	bootstrap, _ := Check(content)
	address := bootstrap.GetAdmin().GetAddress().GetSocketAddress()
	if address.GetPortValue() == 0 {
		return ""
	}
	host := address.GetAddress()
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(address.GetPortValue())))
}
