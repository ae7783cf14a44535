package abi

import (
	"unsafe"
)

//go:wasmimport env proxy_log
func proxyLog(level Level, message *byte, size uint32) uint32

//go:wasmimport env proxy_get_log_level
func proxyGetLogLevel(level *uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(buffer, start, size uint32, value, valueSize *uint32) uint32

//go:wasmimport env proxy_get_property
func proxyGetProperty(path *byte, size uint32, value, valueSize *uint32) uint32

//go:wasmimport env proxy_get_shared_data
func proxyGetSharedData(key *byte, size uint32, value, valueSize, cas *uint32) uint32

//go:wasmimport env proxy_set_shared_data
func proxySetSharedData(key *byte, size uint32, value *byte, valueSize, cas uint32) uint32

//go:wasmimport env proxy_set_tick_period_milliseconds
func proxySetTickPeriodMilliseconds(period uint32) uint32

//go:wasmimport env proxy_http_call
func proxyHTTPCall(
	cluster *byte, clusterSize uint32, headers *byte, headersSize uint32, body *byte, bodySize uint32,
	trailers *byte, trailersSize, timeout uint32, call *uint32,
) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeaderMapValue(kind uint32, key *byte, size uint32, value, valueSize *uint32) uint32

//go:wasmimport env proxy_define_metric
func proxyDefineMetric(kind uint32, name *byte, size uint32, metric *uint32) uint32

//go:wasmimport env proxy_increment_metric
func proxyIncrementMetric(metric Metric, offset int64) uint32

//go:wasmimport env proxy_record_metric
func proxyRecordMetric(metric Metric, value uint64) uint32

//go:wasmimport env proxy_get_metric
func proxyGetMetric(metric Metric, value *uint64) uint32

//go:wasmimport env proxy_get_current_time_nanoseconds
func proxyGetCurrentTimeNanoseconds(now *uint64) uint32

//go:wasmimport wasi_snapshot_preview1 random_get
func randomGet(buffer *byte, size uint32) uint32

const (
	bufferDownstreamData       = 2
	bufferUpstreamData         = 3
	bufferHTTPCallResponseBody = 4
	bufferPluginConfiguration  = 7

	mapHTTPCallResponseHeaders = 6

	metricCounter = 0
	metricGauge   = 1
)

// returned is where hostcalls put what they return. It is not on the stack: the proxy calls back for memory before it
// writes here, and the stack may have moved by then.
var returned struct {
	value, size, number uint32
	long                uint64
	random              [8]byte
}

// value is what the last hostcall returned: the beginning of the arena, which is where the proxy was told to put it.
func value() []byte { return smallArena[:returned.size:returned.size] }

// Log logs message at level. message is not kept.
func Log(level Level, message []byte) {
	proxyLog(level, unsafe.SliceData(message), uint32(len(message)))
}

// LogLevel returns the level from which the proxy writes lines.
func LogLevel() Level {
	if proxyGetLogLevel(&returned.number) != 0 {
		return LevelTrace
	}
	return Level(returned.number)
}

// DownstreamData returns up to size bytes of the data that arrived from downstream, from start on. Only within
// OnDownstreamData. They are a copy, valid until the next call for a buffer, and may be overwritten until then.
func DownstreamData(start, size int) ([]byte, error) {
	return buffer(bufferDownstreamData, start, size)
}

// UpstreamData returns up to size bytes of the data that arrived from upstream, from start on, as
// DownstreamData does. Only within OnUpstreamData.
func UpstreamData(start, size int) ([]byte, error) { return buffer(bufferUpstreamData, start, size) }

// PluginConfiguration returns the configuration, size bytes, within OnPluginStart. It may be empty.
func PluginConfiguration(size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	return buffer(bufferPluginConfiguration, 0, size)
}

func buffer(kind uint32, start, size int) ([]byte, error) {
	wantsBuffer = true
	status := proxyGetBufferBytes(kind, uint32(start), uint32(size), &returned.value, &returned.size)
	wantsBuffer = false
	if status != 0 {
		return nil, statusError(status)
	}
	return bufferArena[:returned.size:returned.size], nil
}

// Property returns a property of the proxy or the connection, nil if it is not known.
func Property(path ...string) []byte {
	raw := serializedPath(path)
	if proxyGetProperty(unsafe.SliceData(raw), uint32(len(raw)), &returned.value, &returned.size) != 0 {
		return nil
	}
	return value()
}

// SharedData returns a value that all workers share, and the number that SetSharedData wants to replace just it. The
// error is types.ErrorStatusNotFound if there is none. Allocation-free.
func SharedData(key string) (_ []byte, cas uint32, err error) {
	status := proxyGetSharedData(unsafe.StringData(key), uint32(len(key)), &returned.value, &returned.size, &returned.number)
	if status != 0 {
		return nil, 0, statusError(status)
	}
	return value(), returned.number, nil
}

// SetSharedData replaces a value that all workers share. The error is types.ErrorStatusCasMismatch if another worker
// did so since cas was read; a cas of 0 writes in any case. Allocation-free.
func SetSharedData(key string, data []byte, cas uint32) error {
	return statusError(proxySetSharedData(
		unsafe.StringData(key), uint32(len(key)), unsafe.SliceData(data), uint32(len(data)), cas))
}

// SetTickPeriod asks for OnTick every milliseconds.
func SetTickPeriod(milliseconds uint32) error {
	return statusError(proxySetTickPeriodMilliseconds(milliseconds))
}

// HTTPCall sends a request to a cluster of the proxy; done is called with the size of the response's body, or with 0
// if there is none. headers need ":method", ":path" and ":authority". Only within OnTick.
func HTTPCall(cluster string, headers [][2]string, timeoutMilliseconds uint32, done func(bodySize int)) error {
	h, t := serializedMap(headers), serializedMap(nil)
	status := proxyHTTPCall(unsafe.StringData(cluster), uint32(len(cluster)), &h[0], uint32(len(h)), nil, 0,
		&t[0], uint32(len(t)), timeoutMilliseconds, &returned.number)
	if status != 0 {
		return statusError(status)
	}
	calls[returned.number] = done
	return nil
}

// HTTPCallStatus returns the response's ":status". Only within HTTPCall's done.
func HTTPCallStatus() string {
	const key = ":status"
	if proxyGetHeaderMapValue(mapHTTPCallResponseHeaders, unsafe.StringData(key), uint32(len(key)),
		&returned.value, &returned.size) != 0 {
		return ""
	}
	return string(value())
}

// HTTPCallBody returns up to size bytes of the response's body. Only within HTTPCall's done.
func HTTPCallBody(size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	return buffer(bufferHTTPCallResponseBody, 0, size)
}

// DefineCounter makes or finds the counter called name.
func DefineCounter(name string) (Metric, error) { return define(metricCounter, name) }

// DefineGauge makes or finds the gauge called name.
func DefineGauge(name string) (Metric, error) { return define(metricGauge, name) }

func define(kind uint32, name string) (Metric, error) {
	status := proxyDefineMetric(kind, unsafe.StringData(name), uint32(len(name)), &returned.number)
	return Metric(returned.number), statusError(status)
}

// Add adds n to a counter; 0, which proxies refuse, is left out. Allocation-free.
func (m Metric) Add(n uint64) {
	if n != 0 {
		proxyIncrementMetric(m, int64(n))
	}
}

// Set sets a gauge.
func (m Metric) Set(n uint64) { proxyRecordMetric(m, n) }

// Value returns the metric's value, to which all VMs of the process have added, 0 if the proxy does not know it.
// Allocation-free.
func (m Metric) Value() uint64 {
	if proxyGetMetric(m, &returned.long) != 0 {
		return 0
	}
	return returned.long
}

// Now returns the proxy's time in nanoseconds since the Unix epoch. Allocation-free.
func Now() int64 {
	proxyGetCurrentTimeNanoseconds(&returned.long)
	return int64(returned.long)
}

// Random returns a random number from the proxy's source.
func Random() uint64 {
	randomGet(&returned.random[0], uint32(len(returned.random)))
	var n uint64
	for _, b := range returned.random {
		n = n<<8 | uint64(b)
	}
	return n
}
