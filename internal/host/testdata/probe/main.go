//go:build wasip1

// Command probe is a network filter for tests: it logs every callback that it gets, and runs the script of hostcalls
// that it is given.
//
// A script is a list of lines; each line is a hostcall and its arguments, separated by blanks, "\0" standing for a NUL.
// The plugin configuration is a script, and so is downstream data that begins with "!". The result of each hostcall is
// logged as "= line: status values". The word "quiet" ends the logging of callbacks.
package main

import (
	"strconv"
	"strings"
	"unsafe"
)

func main() {}

//go:wasmimport env proxy_log
func proxyLog(level uint32, p unsafe.Pointer, n uint32) uint32

//go:wasmimport env proxy_get_log_level
func proxyGetLogLevel(level unsafe.Pointer) uint32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(kind, start, limit uint32, p, n unsafe.Pointer) uint32

//go:wasmimport env proxy_get_header_map_pairs
func proxyGetHeaderMapPairs(kind uint32, p, n unsafe.Pointer) uint32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeaderMapValue(kind uint32, key unsafe.Pointer, keyLen uint32, p, n unsafe.Pointer) uint32

//go:wasmimport env proxy_get_property
func proxyGetProperty(path unsafe.Pointer, pathLen uint32, p, n unsafe.Pointer) uint32

//go:wasmimport env proxy_set_property
func proxySetProperty(path unsafe.Pointer, pathLen uint32, value unsafe.Pointer, valueLen uint32) uint32

//go:wasmimport env proxy_get_shared_data
func proxyGetSharedData(key unsafe.Pointer, keyLen uint32, p, n, cas unsafe.Pointer) uint32

//go:wasmimport env proxy_set_shared_data
func proxySetSharedData(key unsafe.Pointer, keyLen uint32, value unsafe.Pointer, valueLen, cas uint32) uint32

//go:wasmimport env proxy_set_tick_period_milliseconds
func proxySetTickPeriodMilliseconds(period uint32) uint32

//go:wasmimport env proxy_http_call
func proxyHTTPCall(cluster unsafe.Pointer, clusterLen uint32, headers unsafe.Pointer, headersLen uint32,
	body unsafe.Pointer, bodyLen uint32, trailers unsafe.Pointer, trailersLen uint32, timeout uint32, token unsafe.Pointer) uint32

//go:wasmimport env proxy_define_metric
func proxyDefineMetric(kind uint32, name unsafe.Pointer, nameLen uint32, id unsafe.Pointer) uint32

//go:wasmimport env proxy_increment_metric
func proxyIncrementMetric(id uint32, offset int64) uint32

//go:wasmimport env proxy_record_metric
func proxyRecordMetric(id uint32, value uint64) uint32

//go:wasmimport env proxy_get_metric
func proxyGetMetric(id uint32, value unsafe.Pointer) uint32

//go:wasmimport env proxy_get_current_time_nanoseconds
func proxyGetCurrentTimeNanoseconds(t unsafe.Pointer) uint32

//go:wasmimport env proxy_done
func proxyDone() uint32

// state is what the scripts of one module set.
var state = struct {
	arena     []byte
	quiet     bool
	data      uint32 // what the data callbacks return
	newConn   uint32 // what proxy_on_new_connection returns
	keepDone  bool   // proxy_on_done returns 0
	onTick    string // the script of proxy_on_tick
	onClose   string // the script of proxy_on_downstream_connection_close
	onDone    string // the script of proxy_on_done
	onConnect string // the script of proxy_on_new_connection
	recurse   []byte
}{arena: make([]byte, 1<<16)}

func ptr(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func logLine(level uint32, s string) uint32 {
	b := []byte(s)
	return proxyLog(level, ptr(b), uint32(len(b)))
}

func event(words ...any) {
	if state.quiet {
		return
	}
	var line []byte
	for i, word := range words {
		if i > 0 {
			line = append(line, ' ')
		}
		switch v := word.(type) {
		case string:
			line = append(line, v...)
		case uint32:
			line = strconv.AppendUint(line, uint64(v), 10)
		case bool:
			line = strconv.AppendBool(line, v)
		}
	}
	logLine(2, string(line))
}

func u32(s string) uint32 {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

func view(p, n uint32) []byte {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(p))), n)
}

func pairs(kv ...string) []byte {
	var b []byte
	put := func(n int) { b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24)) }
	put(len(kv) / 2)
	for _, s := range kv {
		put(len(s))
	}
	for _, s := range kv {
		b = append(b, s...)
		b = append(b, 0)
	}
	return b
}

func quote(b []byte) string { return strconv.Quote(string(b)) }

// run executes a script and returns false if it holds the word "reject".
func run(script string) bool {
	ok := true
	for line := range strings.SplitSeq(script, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		words := strings.Fields(strings.ReplaceAll(line, `\0`, "\x00"))
		arg := func(i int) []byte {
			if i >= len(words) || words[i] == "''" {
				return nil
			}
			return []byte(words[i])
		}
		rest := func(n int) string { return strings.ReplaceAll(strings.Join(words[n:], " "), ";", "\n") }
		var p, n, c uint32
		var v uint64
		result := ""
		var status uint32
		switch words[0] {
		case "reject":
			ok = false
			continue
		case "quiet":
			state.quiet = true
			continue
		case "data":
			state.data = u32(words[1])
			continue
		case "new_connection":
			state.newConn = u32(words[1])
			continue
		case "keep_done":
			state.keepDone = true
			continue
		case "on_tick":
			state.onTick = rest(1)
			continue
		case "on_close":
			state.onClose = rest(1)
			continue
		case "on_done":
			state.onDone = rest(1)
			continue
		case "on_connect":
			state.onConnect = rest(1)
			continue
		case "panic":
			panic(rest(1))
		case "print":
			print(rest(1), "\n")
			continue
		case "log":
			status = logLine(u32(words[1]), strings.Join(words[2:], " "))
		case "log_bad_pointer":
			status = proxyLog(2, unsafe.Pointer(uintptr(0xfffffff0)), 32)
		case "get_log_level":
			status = proxyGetLogLevel(unsafe.Pointer(&p))
			result = strconv.Itoa(int(p))
		case "get_buffer_bytes":
			status = proxyGetBufferBytes(u32(words[1]), u32(words[2]), u32(words[3]), unsafe.Pointer(&p), unsafe.Pointer(&n))
			result = quote(view(p, n))
		case "get_header_map_pairs":
			status = proxyGetHeaderMapPairs(u32(words[1]), unsafe.Pointer(&p), unsafe.Pointer(&n))
			result = quote(view(p, n))
		case "get_header_map_value":
			status = proxyGetHeaderMapValue(u32(words[1]), ptr(arg(2)), uint32(len(arg(2))), unsafe.Pointer(&p), unsafe.Pointer(&n))
			result = quote(view(p, n))
		case "get_property":
			status = proxyGetProperty(ptr(arg(1)), uint32(len(arg(1))), unsafe.Pointer(&p), unsafe.Pointer(&n))
			result = quote(view(p, n))
		case "set_property":
			status = proxySetProperty(ptr(arg(1)), uint32(len(arg(1))), ptr(arg(2)), uint32(len(arg(2))))
		case "get_shared_data":
			status = proxyGetSharedData(ptr(arg(1)), uint32(len(arg(1))), unsafe.Pointer(&p), unsafe.Pointer(&n), unsafe.Pointer(&c))
			result = quote(view(p, n)) + " cas " + strconv.Itoa(int(c))
		case "set_shared_data":
			status = proxySetSharedData(ptr(arg(1)), uint32(len(arg(1))), ptr(arg(2)), uint32(len(arg(2))), u32(words[3]))
		case "set_tick_period":
			status = proxySetTickPeriodMilliseconds(u32(words[1]))
		case "http_call": // cluster timeout body key value key value …
			headers := pairs(words[4:]...)
			body := arg(3)
			status = proxyHTTPCall(ptr(arg(1)), uint32(len(arg(1))), ptr(headers), uint32(len(headers)), ptr(body), uint32(len(body)),
				nil, 0, u32(words[2]), unsafe.Pointer(&p))
			result = strconv.Itoa(int(p))
		case "http_call_raw": // cluster timeout headers-as-quoted-bytes
			headers, err := strconv.Unquote(words[3])
			if err != nil {
				panic(err)
			}
			h := []byte(headers)
			status = proxyHTTPCall(ptr(arg(1)), uint32(len(arg(1))), ptr(h), uint32(len(h)), nil, 0, nil, 0, u32(words[2]), unsafe.Pointer(&p))
			result = strconv.Itoa(int(p))
		case "define_metric":
			status = proxyDefineMetric(u32(words[1]), ptr(arg(2)), uint32(len(arg(2))), unsafe.Pointer(&p))
			result = strconv.Itoa(int(p))
		case "increment_metric":
			offset, _ := strconv.ParseInt(words[2], 0, 64)
			status = proxyIncrementMetric(u32(words[1]), offset)
		case "record_metric":
			status = proxyRecordMetric(u32(words[1]), uint64(u32(words[2])))
		case "get_metric":
			status = proxyGetMetric(u32(words[1]), unsafe.Pointer(&v))
			result = strconv.FormatUint(v, 10)
		case "get_time":
			status = proxyGetCurrentTimeNanoseconds(unsafe.Pointer(&v))
			result = strconv.FormatUint(v, 10)
		case "done":
			status = proxyDone()
		default:
			panic("unknown word " + words[0])
		}
		text := "= " + line + ": " + strconv.Itoa(int(status))
		if result != "" {
			text += " " + result
		}
		logLine(2, text)
	}
	return ok
}

func buffer(kind, n uint32) string {
	if n == 0 {
		return ""
	}
	var p, length uint32
	if status := proxyGetBufferBytes(kind, 0, n, unsafe.Pointer(&p), unsafe.Pointer(&length)); status != 0 {
		panic("get_buffer_bytes: " + strconv.Itoa(int(status)))
	}
	return string(view(p, length))
}

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func onMemoryAllocate(n uint32) *byte {
	if int(n) > len(state.arena) {
		state.arena = make([]byte, n)
	}
	return unsafe.SliceData(state.arena)
}

//go:wasmexport proxy_on_vm_start
func onVMStart(root, n uint32) uint32 {
	event("vm_start", root, n, quote([]byte(buffer(6, n))))
	return 1
}

//go:wasmexport proxy_on_configure
func onConfigure(root, n uint32) uint32 {
	script := buffer(7, n)
	event("configure", root, n)
	if !run(script) {
		return 0
	}
	return 1
}

//go:wasmexport proxy_on_context_create
func onContextCreate(id, root uint32) { event("context_create", id, root) }

//go:wasmexport proxy_on_tick
func onTick(root uint32) {
	event("tick", root)
	run(state.onTick)
}

//go:wasmexport proxy_on_new_connection
func onNewConnection(id uint32) uint32 {
	event("new_connection", id)
	run(state.onConnect)
	return state.newConn
}

//go:wasmexport proxy_on_downstream_data
func onDownstreamData(id, n, end uint32) uint32 {
	if state.quiet {
		var p, length uint32
		proxyGetBufferBytes(2, 0, n, unsafe.Pointer(&p), unsafe.Pointer(&length))
		return state.data
	}
	data := buffer(2, n)
	event("downstream_data", id, n, end)
	if script, ok := strings.CutPrefix(data, "!"); ok {
		run(script)
	}
	return state.data
}

//go:wasmexport proxy_on_upstream_data
func onUpstreamData(id, n, end uint32) uint32 {
	event("upstream_data", id, n, end)
	return state.data
}

//go:wasmexport proxy_on_downstream_connection_close
func onDownstreamConnectionClose(id, kind uint32) {
	event("downstream_close", id, kind)
	run(state.onClose)
}

//go:wasmexport proxy_on_upstream_connection_close
func onUpstreamConnectionClose(id, kind uint32) { event("upstream_close", id, kind) }

//go:wasmexport proxy_on_http_call_response
func onHTTPCallResponse(root, token, headers, body, trailers uint32) {
	event("http_call_response", root, token, headers, body, trailers)
	if headers == 0 {
		return
	}
	run("get_header_map_value 6 :status")
	run("get_buffer_bytes 4 0 1000")
	run("get_header_map_pairs 6")
}

//go:wasmexport proxy_on_done
func onDone(id uint32) uint32 {
	event("done", id)
	run(state.onDone)
	if state.keepDone {
		return 0
	}
	return 1
}

//go:wasmexport proxy_on_log
func onLog(id uint32) { event("log", id) }

//go:wasmexport proxy_on_delete
func onDelete(id uint32) { event("delete", id) }
