//go:build !wasip1

package abi

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// Run makes context the one that the emulator's calls go to.
func Run(context types.VMContext) { proxywasm.SetVMContext(context) }

// Log logs message at level. message is not kept.
func Log(level Level, message []byte) {
	logAt := [...]func(string){
		proxywasm.LogTrace, proxywasm.LogDebug, proxywasm.LogInfo,
		proxywasm.LogWarn, proxywasm.LogError, proxywasm.LogCritical,
	}
	logAt[level](string(message))
}

// LogLevel returns the level from which the proxy writes lines: all of them, since the SDK has no such call.
func LogLevel() Level { return LevelTrace }

// DownstreamData returns up to size bytes of the data that arrived from downstream, from start on. Only within
// OnDownstreamData.
func DownstreamData(start, size int) ([]byte, error) { return proxywasm.GetDownstreamData(start, size) }

// UpstreamData returns up to size bytes of the data that arrived from upstream, from start on. Only within
// OnUpstreamData.
func UpstreamData(start, size int) ([]byte, error) { return proxywasm.GetUpstreamData(start, size) }

// PluginConfiguration returns the configuration, size bytes, within OnPluginStart. It may be empty.
func PluginConfiguration(size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	return proxywasm.GetPluginConfiguration()
}

// Property returns a property of the proxy or the connection, nil if it is not known.
func Property(path ...string) []byte {
	value, err := proxywasm.GetProperty(path)
	if err != nil {
		return nil
	}
	return value
}

// SharedData returns a value that all workers share, and the number that SetSharedData wants to replace just it. The
// error is types.ErrorStatusNotFound if there is none.
func SharedData(key string) (value []byte, cas uint32, err error) {
	return proxywasm.GetSharedData(key)
}

// SetSharedData replaces a value that all workers share. The error is types.ErrorStatusCasMismatch if another worker
// did so since cas was read; a cas of 0 writes in any case.
func SetSharedData(key string, data []byte, cas uint32) error {
	return proxywasm.SetSharedData(key, data, cas)
}

// SetTickPeriod asks for OnTick every milliseconds.
func SetTickPeriod(milliseconds uint32) error {
	return proxywasm.SetTickPeriodMilliSeconds(milliseconds)
}

// HTTPCall sends a request to a cluster of the proxy; done is called with the size of the response's body, or with 0
// if there is none. headers need ":method", ":path" and ":authority". Only within OnTick.
func HTTPCall(cluster string, headers [][2]string, timeoutMilliseconds uint32, done func(bodySize int)) error {
	_, err := proxywasm.DispatchHttpCall(cluster, headers, nil, nil, timeoutMilliseconds,
		func(_, bodySize, _ int) { done(bodySize) })
	return err
}

// HTTPCallStatus returns the response's ":status". Only within HTTPCall's done.
func HTTPCallStatus() string {
	headers, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		return ""
	}
	for _, header := range headers {
		if header[0] == ":status" {
			return header[1]
		}
	}
	return ""
}

// HTTPCallBody returns up to size bytes of the response's body. Only within HTTPCall's done.
func HTTPCallBody(size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	return proxywasm.GetHttpCallResponseBody(0, size)
}

// DefineCounter makes or finds the counter called name.
func DefineCounter(name string) (Metric, error) {
	return Metric(proxywasm.DefineCounterMetric(name)), nil
}

// DefineGauge makes or finds the gauge called name.
func DefineGauge(name string) (Metric, error) { return Metric(proxywasm.DefineGaugeMetric(name)), nil }

// Add adds n to a counter; 0, which proxies refuse, is left out.
func (m Metric) Add(n uint64) {
	if n != 0 {
		proxywasm.MetricCounter(m).Increment(n)
	}
}

// Set sets a gauge. The SDK can only add.
func (m Metric) Set(n uint64) {
	gauge := proxywasm.MetricGauge(m)
	if delta := int64(n) - gauge.Value(); delta != 0 {
		gauge.Add(delta)
	}
}

// Value returns a counter's value.
func (m Metric) Value() uint64 { return proxywasm.MetricCounter(m).Value() }

// Now returns the time in nanoseconds since the Unix epoch.
func Now() int64 { return time.Now().UnixNano() }

// Random returns a random number.
func Random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
