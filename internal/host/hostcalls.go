package host

import (
	"context"
	"slices"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// hostcall is a function of the module env.
type hostcall struct {
	name   string
	params []api.ValueType
	// run gets the parameters; nil is for what a network filter that only observes has no use for.
	run func(vm *VM, p []uint64) status
}

func (h hostcall) function() api.GoModuleFunction {
	run := h.run
	if run == nil {
		run = func(*VM, []uint64) status { return statusUnimplemented }
	}
	return api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
		vm := ctx.Value(vmKey{}).(*VM)
		stack[0] = uint64(run(vm, stack))
	})
}

func i32s(n int) []api.ValueType { return slices.Repeat([]api.ValueType{api.ValueTypeI32}, n) }

// hostcalls are the functions that Envoy 1.40 provides to a module of proxy-wasm 0.2.1.
var hostcalls = []hostcall{
	{"proxy_log", i32s(3), (*VM).proxyLog},
	{"proxy_get_log_level", i32s(1), (*VM).proxyGetLogLevel},
	{"proxy_get_buffer_bytes", i32s(5), (*VM).proxyGetBufferBytes},
	{"proxy_get_header_map_pairs", i32s(3), (*VM).proxyGetHeaderMapPairs},
	{"proxy_get_header_map_value", i32s(5), (*VM).proxyGetHeaderMapValue},
	{"proxy_get_property", i32s(4), (*VM).proxyGetProperty},
	{"proxy_get_shared_data", i32s(5), (*VM).proxyGetSharedData},
	{"proxy_set_shared_data", i32s(5), (*VM).proxySetSharedData},
	{"proxy_set_tick_period_milliseconds", i32s(1), (*VM).proxySetTickPeriod},
	{"proxy_http_call", i32s(10), (*VM).proxyHTTPCall},
	{"proxy_define_metric", i32s(4), (*VM).proxyDefineMetric},
	{"proxy_increment_metric", []api.ValueType{api.ValueTypeI32, api.ValueTypeI64}, (*VM).proxyIncrementMetric},
	{"proxy_record_metric", []api.ValueType{api.ValueTypeI32, api.ValueTypeI64}, (*VM).proxyRecordMetric},
	{"proxy_get_metric", i32s(2), (*VM).proxyGetMetric},
	{"proxy_get_current_time_nanoseconds", i32s(1), (*VM).proxyGetCurrentTime},
	{"proxy_done", nil, (*VM).proxyDone},

	{"proxy_add_header_map_value", i32s(5), nil},
	{"proxy_close_stream", i32s(1), nil},
	{"proxy_continue_stream", i32s(1), nil},
	{"proxy_get_buffer_status", i32s(3), nil},
	{"proxy_set_effective_context", i32s(1), nil},
	{"proxy_call_foreign_function", i32s(6), nil},
	{"proxy_dequeue_shared_queue", i32s(3), nil},
	{"proxy_enqueue_shared_queue", i32s(3), nil},
	{"proxy_get_header_map_size", i32s(2), nil},
	{"proxy_get_status", i32s(3), nil},
	{"proxy_grpc_call", i32s(12), nil},
	{"proxy_grpc_cancel", i32s(1), nil},
	{"proxy_grpc_close", i32s(1), nil},
	{"proxy_grpc_send", i32s(4), nil},
	{"proxy_grpc_stream", i32s(9), nil},
	{"proxy_register_shared_queue", i32s(3), nil},
	{"proxy_remove_header_map_value", i32s(3), nil},
	{"proxy_replace_header_map_value", i32s(5), nil},
	{"proxy_resolve_shared_queue", i32s(5), nil},
	{"proxy_send_local_response", i32s(8), nil},
	{"proxy_set_buffer_bytes", i32s(5), nil},
	{"proxy_set_header_map_pairs", i32s(3), nil},
	{"proxy_set_property", i32s(4), nil},
}

// bytesAt returns a view of the guest's memory, valid until the guest runs again.
func (vm *VM) bytesAt(address, length uint64) ([]byte, bool) {
	return vm.memory.Read(uint32(address), uint32(length))
}

// proxy_log(level, message, message_size)
func (vm *VM) proxyLog(p []uint64) status {
	level := LogLevel(uint32(p[0]))
	if level > LevelCritical {
		return statusBadArgument
	}
	message, ok := vm.bytesAt(p[1], p[2])
	if !ok {
		return statusInvalidMemoryAccess
	}
	vm.engine.options.Log.plugin(level, vm.thread, vm.current.prefix, message)
	return statusOK
}

// proxy_get_log_level(→ level)
func (vm *VM) proxyGetLogLevel(p []uint64) status {
	return vm.write32(p[0], uint32(vm.engine.options.Log.Level()))
}

func (vm *VM) write32(address uint64, value uint32) status {
	if !vm.memory.WriteUint32Le(uint32(address), value) {
		return statusInvalidMemoryAccess
	}
	return statusOK
}

func (vm *VM) write64(address, value uint64) status {
	if !vm.memory.WriteUint64Le(uint32(address), value) {
		return statusInvalidMemoryAccess
	}
	return statusOK
}

// buffer returns what a buffer type means in the present callback.
func (c *guestContext) buffer(kind uint32) ([]byte, status) {
	if kind > bufferMax {
		return nil, statusBadArgument
	}
	switch kind {
	case bufferDownstreamData:
		if c.stream != nil {
			return c.stream.downstream, statusOK
		}
	case bufferUpstreamData:
		if c.stream != nil {
			return c.stream.upstream, statusOK
		}
	case bufferVMConfiguration:
		return c.vm.engine.config.Configuration, statusOK
	case bufferPluginConfiguration:
		if c.stream != nil || c.root == nil || c.root.configuring == nil {
			return nil, statusNotFound
		}
		return c.root.configuring.Configuration, statusOK
	case bufferHTTPCallResponseBody:
		if c.root == nil || c.root.response == nil {
			return nil, statusNotFound
		}
		return c.root.response.Body, statusOK
	}
	return nil, statusOK // what a network filter never has is empty
}

// proxy_get_buffer_bytes(type, start, length, → data, → size)
func (vm *VM) proxyGetBufferBytes(p []uint64) status {
	data, result := vm.current.buffer(uint32(p[0]))
	if result != statusOK {
		return result
	}
	// 64 bits hold the sum of two 32-bit numbers: it cannot overflow.
	start := min(uint64(uint32(p[1])), uint64(len(data)))
	end := min(start+uint64(uint32(p[2])), uint64(len(data)))
	return vm.give(data[start:end], uint32(p[3]), uint32(p[4]))
}

// headers returns a header map, and false if there is none now.
func (c *guestContext) headers(kind uint32) ([]Header, bool) {
	if c.root == nil || c.root.response == nil {
		return nil, false
	}
	switch kind {
	case mapHTTPCallResponseHeaders:
		return c.root.response.Headers, true
	case mapHTTPCallResponseTrailers:
		return c.root.response.Trailers, len(c.root.response.Trailers) > 0
	}
	return nil, false
}

// proxy_get_header_map_pairs(type, → pairs, → size)
func (vm *VM) proxyGetHeaderMapPairs(p []uint64) status {
	if uint32(p[0]) > mapMax {
		return statusBadArgument
	}
	headers, _ := vm.current.headers(uint32(p[0]))
	vm.scratch = appendPairs(vm.scratch[:0], headers)
	return vm.give(vm.scratch, uint32(p[1]), uint32(p[2]))
}

// proxy_get_header_map_value(type, key, key_size, → value, → size)
func (vm *VM) proxyGetHeaderMapValue(p []uint64) status {
	if uint32(p[0]) > mapMax {
		return statusBadArgument
	}
	key, ok := vm.bytesAt(p[1], p[2])
	if !ok {
		return statusInvalidMemoryAccess
	}
	headers, ok := vm.current.headers(uint32(p[0]))
	if !ok {
		return statusBadArgument
	}
	for _, h := range headers {
		if equalFold(key, h.Name) {
			vm.scratch = append(vm.scratch[:0], h.Value...)
			return vm.give(vm.scratch, uint32(p[3]), uint32(p[4]))
		}
	}
	return statusNotFound
}

// equalFold compares key with a name in lower case.
func equalFold(key []byte, lower string) bool {
	if len(key) != len(lower) {
		return false
	}
	for i, c := range key {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// proxy_get_property(path, path_size, → value, → size)
func (vm *VM) proxyGetProperty(p []uint64) status {
	path, ok := vm.bytesAt(p[0], p[1])
	if !ok {
		return statusInvalidMemoryAccess
	}
	var result status
	if vm.scratch, result = vm.current.appendProperty(vm.scratch[:0], path); result != statusOK {
		return result
	}
	return vm.give(vm.scratch, uint32(p[2]), uint32(p[3]))
}

// proxy_get_shared_data(key, key_size, → value, → size, → cas)
func (vm *VM) proxyGetSharedData(p []uint64) status {
	key, ok := vm.bytesAt(p[0], p[1])
	if !ok {
		return statusInvalidMemoryAccess
	}
	var cas uint32
	if vm.scratch, cas, ok = vm.engine.options.Shared.get(vm.engine.config.ID, key, vm.scratch[:0]); !ok {
		return statusNotFound
	}
	if result := vm.give(vm.scratch, uint32(p[2]), uint32(p[3])); result != statusOK {
		return result
	}
	return vm.write32(p[4], cas)
}

// proxy_set_shared_data(key, key_size, value, value_size, cas)
func (vm *VM) proxySetSharedData(p []uint64) status {
	key, okKey := vm.bytesAt(p[0], p[1])
	value, okValue := vm.bytesAt(p[2], p[3])
	if !okKey || !okValue {
		return statusInvalidMemoryAccess
	}
	if !vm.engine.options.Shared.set(vm.engine.config.ID, key, value, uint32(p[4])) {
		return statusCASMismatch
	}
	return statusOK
}

// proxy_set_tick_period_milliseconds(period)
func (vm *VM) proxySetTickPeriod(p []uint64) status {
	if r := vm.current.root; r != nil {
		r.setTick(time.Duration(uint32(p[0])) * time.Millisecond)
	}
	return statusOK
}

// proxy_http_call(cluster, cluster_size, headers, headers_size, body, body_size, trailers, trailers_size, timeout, → token)
func (vm *VM) proxyHTTPCall(p []uint64) status {
	cluster, okCluster := vm.bytesAt(p[0], p[1])
	headers, okHeaders := vm.bytesAt(p[2], p[3])
	body, okBody := vm.bytesAt(p[4], p[5])
	_, okTrailers := vm.bytesAt(p[6], p[7])
	if !okCluster || !okHeaders || !okBody || !okTrailers {
		return statusInvalidMemoryAccess
	}
	if result := vm.write32(p[9], 0); result != statusOK {
		return result
	}
	token, result := vm.httpCall(string(cluster), parsePairs(headers), body, int32(p[8]))
	vm.write32(p[9], token)
	return result
}

// The low bits of a metric's id are its kind.
const (
	metricStep = 4
	metricMask = 3
)

// proxy_define_metric(type, name, name_size, → id). A histogram (2) is not supported.
func (vm *VM) proxyDefineMetric(p []uint64) status {
	const histogram = 2
	name, ok := vm.bytesAt(p[1], p[2])
	if !ok {
		return statusInvalidMemoryAccess
	}
	switch kind := uint32(p[0]); {
	case kind > histogram:
		return statusBadArgument
	case kind == histogram:
		return statusUnimplemented
	default:
		if vm.metrics[kind] == nil {
			vm.metrics[kind] = make(map[uint32]*Metric)
		}
		vm.nextMetric[kind] += metricStep
		id := vm.nextMetric[kind] | kind
		vm.metrics[kind][id] = vm.engine.options.Metrics.Define(string(name), MetricKind(kind))
		return vm.write32(p[3], id)
	}
}

// metric returns the metric of an id, BadArgument for an id of another kind of metric, or NotFound.
func (vm *VM) metric(id uint32) (*Metric, status) {
	kind := id & metricMask
	if kind >= uint32(len(vm.metrics)) {
		return nil, statusBadArgument
	}
	metric, ok := vm.metrics[kind][id]
	if !ok {
		return nil, statusNotFound
	}
	return metric, statusOK
}

// proxy_increment_metric(id, offset): a counter takes more than 0 only.
func (vm *VM) proxyIncrementMetric(p []uint64) status {
	metric, result := vm.metric(uint32(p[0]))
	if result != statusOK {
		return result
	}
	if metric.Kind == Counter && int64(p[1]) <= 0 {
		return statusBadArgument
	}
	metric.Add(p[1])
	return statusOK
}

// proxy_record_metric(id, value): sets a gauge, adds to a counter.
func (vm *VM) proxyRecordMetric(p []uint64) status {
	metric, result := vm.metric(uint32(p[0]))
	if result != statusOK {
		return statusNotFound
	}
	if metric.Kind == Counter {
		metric.Add(p[1])
	} else {
		metric.Set(p[1])
	}
	return statusOK
}

// proxy_get_metric(id, → value)
func (vm *VM) proxyGetMetric(p []uint64) status {
	metric, result := vm.metric(uint32(p[0]))
	if result != statusOK {
		return result
	}
	return vm.write64(p[1], metric.Value())
}

// proxy_get_current_time_nanoseconds(→ time)
func (vm *VM) proxyGetCurrentTime(p []uint64) status {
	return vm.write64(p[0], uint64(vm.engine.options.Now().UnixNano()))
}

// proxy_done(): a root context whose proxy_on_done asked to wait is deleted when the present call has returned.
func (vm *VM) proxyDone([]uint64) status {
	r := vm.current.root
	if r == nil || !r.pending {
		return statusNotFound
	}
	r.pending = false
	vm.after = append(vm.after, r.delete)
	return statusOK
}
