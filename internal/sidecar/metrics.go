package sidecar

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the sidecar's own, in a registry of their own.
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.CounterVec // by path, method and code
	rejected      *prometheus.CounterVec // before a handler saw them, by reason
	portraits     *prometheus.CounterVec // by type and result
	configDumps   *prometheus.CounterVec // by result
	badReports    prometheus.Counter
	writeFailures prometheus.Counter
	writeFailing  prometheus.Gauge
}

func newMetrics(s *Server) *metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "l4dump_sidecar_" + name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "l4dump_sidecar_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "l4dump_sidecar_" + name, Help: help})
	}
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		requests:      counters("requests_total", "Requests answered; those to /v1/state are the plugin's polls.", "path", "method", "code"),
		rejected:      counters("requests_rejected_total", "Requests refused before they were looked at.", "reason"),
		portraits:     counters("portraits_total", "Portraits by business type and result.", "type", "result"),
		configDumps:   counters("config_dumps_total", "Dumps of Envoy's configuration by result.", "result"),
		badReports:    counter("reports_refused_total", "Reports of the plugin that could not be read."),
		writeFailures: counter("dump_write_failures_total", "Times that writing to the dump files began to fail."),
		writeFailing:  gauge("dump_write_failing", "1 while the last line could not be written, as on a full disk."),
	}
	m.registry.MustRegister(
		m.requests, m.rejected, m.portraits, m.configDumps, m.badReports, m.writeFailures, m.writeFailing,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&stateCollector{server: s},
	)
	return m
}

func (m *metrics) answered(path, method string, code int) {
	m.requests.WithLabelValues(path, method, strconv.Itoa(code)).Inc()
}

// stateCollector reads the sidecar's state when it is scraped.
type stateCollector struct{ server *Server }

var (
	cpuDesc       = prometheus.NewDesc("l4dump_sidecar_cpu_percent", "CPU usage, of the node or of the tightest limit.", []string{"source"}, nil)
	memoryDesc    = prometheus.NewDesc("l4dump_sidecar_memory_percent", "Memory usage, of the node or of the tightest limit.", []string{"source"}, nil)
	ageDesc       = prometheus.NewDesc("l4dump_sidecar_usage_age_seconds", "Age of the older figure.", nil, nil)
	recordingDesc = prometheus.NewDesc("l4dump_sidecar_recording", "1 while a window is open and nothing is in the way.", nil, nil)
	offDesc       = prometheus.NewDesc("l4dump_sidecar_off", "1 with the reason why nothing is recorded.", []string{"reason"}, nil)
	revisionDesc  = prometheus.NewDesc("l4dump_sidecar_strategy_revision", "Changes of the global strategy.", nil, nil)
	unwrittenDesc = prometheus.NewDesc("l4dump_sidecar_strategy_unwritten",
		"1 while the global strategy is in force but could not be written to the state file.", nil, nil)
	pluginsDesc = prometheus.NewDesc("l4dump_sidecar_plugins", "Configurations of the plugin that polled lately.", nil, nil)
	bytesDesc   = prometheus.NewDesc("l4dump_sidecar_dump_bytes", "Size of all dump files, rotated ones included.", nil, nil)
	fileDesc    = prometheus.NewDesc("l4dump_sidecar_strategy_file_valid", "1 if the watched strategy file is there and valid.", nil, nil)
)

// Describe is the collector's.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		cpuDesc, memoryDesc, ageDesc, recordingDesc, offDesc, revisionDesc, unwrittenDesc, pluginsDesc, bytesDesc, fileDesc,
	} {
		ch <- d
	}
}

// Collect is the collector's.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	v := c.server.view()
	if v.usage.ok {
		gauge(cpuDesc, v.usage.cpu.Percent, v.usage.cpu.Source)
		gauge(memoryDesc, v.usage.memory.Percent, v.usage.memory.Source)
		gauge(ageDesc, max(v.now.Sub(v.usage.cpu.Taken), v.now.Sub(v.usage.memory.Taken)).Seconds())
	}
	gauge(recordingDesc, number(v.recording()))
	if !v.recording() {
		gauge(offDesc, 1, v.reason.String())
	}
	gauge(revisionDesc, float64(v.global.Revision))
	gauge(unwrittenDesc, number(!v.persisted))
	gauge(pluginsDesc, float64(len(v.reports)))
	total, _ := c.server.files.health()
	gauge(bytesDesc, float64(total))
	if c.server.file != nil {
		gauge(fileDesc, number(c.server.file.get().Valid))
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
