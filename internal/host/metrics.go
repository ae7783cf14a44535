package host

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// MetricKind is the type of a metric.
type MetricKind int

const (
	// Counter only grows.
	Counter MetricKind = iota
	// Gauge goes up and down.
	Gauge
)

// Metric is one number that any goroutine may read and change. Allocation-free.
type Metric struct {
	Name  string
	Kind  MetricKind
	value atomic.Uint64
}

// Value returns the present value.
func (m *Metric) Value() uint64 { return m.value.Load() }

// Add adds n.
func (m *Metric) Add(n uint64) { m.value.Add(n) }

// Sub subtracts n.
func (m *Metric) Sub(n uint64) { m.value.Add(-n) }

// Set makes n the value.
func (m *Metric) Set(n uint64) { m.value.Store(n) }

// Metrics holds metrics by name. Whoever defines the same name and kind again shares the metric, so the workers of one
// process count together. The zero value is empty and ready; it may be used by several goroutines at once.
type Metrics struct {
	mu     sync.Mutex
	byName map[metricKey]*Metric
}

type metricKey struct {
	name string
	kind MetricKind
}

// Define returns the metric of that name and kind, made at the first call.
func (m *Metrics) Define(name string, kind MetricKind) *Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := metricKey{name, kind}
	if metric, ok := m.byName[key]; ok {
		return metric
	}
	if m.byName == nil {
		m.byName = make(map[metricKey]*Metric)
	}
	metric := &Metric{Name: name, Kind: kind}
	m.byName[key] = metric
	return metric
}

// Counter is Define with the kind Counter.
func (m *Metrics) Counter(name string) *Metric { return m.Define(name, Counter) }

// Gauge is Define with the kind Gauge.
func (m *Metrics) Gauge(name string) *Metric { return m.Define(name, Gauge) }

// All returns the metrics in the order of their names.
func (m *Metrics) All() []*Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Metric, 0, len(m.byName))
	for _, metric := range m.byName {
		all = append(all, metric)
	}
	slices.SortFunc(all, func(a, b *Metric) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return int(a.Kind) - int(b.Kind)
	})
	return all
}
