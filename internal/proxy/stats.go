package proxy

import (
	"strings"
	"sync"

	"l4dump/internal/host"
)

// statName replaces what separates the parts of a statistic's name: "127.0.0.1:80" becomes "127.0.0.1_80".
func statName(s string) string { return strings.ReplaceAll(s, ":", "_") }

// stats are the statistics of the proxy, under the names of Envoy, and of the plugins.
type stats struct {
	plugins host.Metrics // by the names that the plugins gave
	own     host.Metrics // by Envoy's names

	mu     sync.Mutex
	labels map[string]label // of the proxy's own, by name
}

// label is how a statistic is told apart in Prometheus: listener.127.0.0.1_80.downstream_cx_total is
// envoy_listener_downstream_cx_total{envoy_listener_address="127.0.0.1_80"} there.
type label struct{ metric, name, value string }

// statScope makes the statistics of one listener, cluster or TCP proxy.
type statScope struct {
	stats        *stats
	kind, value  string
	labelName    string
	withoutLabel bool
}

func (s *stats) listener(value string) statScope {
	return statScope{stats: s, kind: "listener", value: value, labelName: "envoy_listener_address"}
}

func (s *stats) cluster(value string) statScope {
	return statScope{stats: s, kind: "cluster", value: value, labelName: "envoy_cluster_name"}
}

func (s *stats) tcp(value string) statScope {
	return statScope{stats: s, kind: "tcp", value: value, labelName: "envoy_tcp_prefix"}
}

func (s *stats) discovery(value string) statScope {
	return statScope{stats: s, kind: "extension_config_discovery.network_filter", value: value, withoutLabel: true}
}

func (s statScope) counter(name string) *host.Metric { return s.define(name, host.Counter) }
func (s statScope) gauge(name string) *host.Metric   { return s.define(name, host.Gauge) }

func (s statScope) define(name string, kind host.MetricKind) *host.Metric {
	full := s.kind + "." + s.value + "." + name
	if !s.withoutLabel {
		s.stats.mu.Lock()
		if s.stats.labels == nil {
			s.stats.labels = make(map[string]label)
		}
		s.stats.labels[full] = label{metric: "envoy_" + s.kind + "_" + name, name: s.labelName, value: s.value}
		s.stats.mu.Unlock()
	}
	return s.stats.own.Define(full, kind)
}

// stat is one statistic at one time.
type stat struct {
	name   string // Envoy's
	metric string // Prometheus'
	label  label  // zero: none
	kind   host.MetricKind
	value  uint64
}

// all returns the statistics in the order of their names.
func (s *stats) all() []stat {
	var all []stat
	s.mu.Lock()
	for _, m := range s.own.All() {
		l := s.labels[m.Name]
		metric := l.metric
		if metric == "" {
			metric = "envoy_" + m.Name
		}
		all = append(all, stat{m.Name, metric, l, m.Kind, m.Value()})
	}
	s.mu.Unlock()
	for _, m := range s.plugins.All() {
		all = append(all, stat{"wasmcustom." + m.Name, m.Name, label{}, m.Kind, m.Value()})
	}
	return all
}
