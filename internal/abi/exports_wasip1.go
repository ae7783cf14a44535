package abi

import (
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// The contexts of this VM, by the proxy's numbers. A VM is single-threaded: the proxy is in one export at a time.
var (
	vm      types.VMContext
	roots   = map[uint32]types.PluginContext{}
	streams = map[uint32]types.TcpContext{}
	calls   = map[uint32]func(bodySize int){} // of HTTPCall, until they are answered
)

// Run makes context the one that the proxy's calls go to. main calls it; in a module built as a library it is called
// from init instead, since the proxy does not run main.
func Run(context types.VMContext) { vm = context }

// The arenas are where the proxy puts the values that it returns, one at a time. Fresh memory for each would keep the
// garbage collector busy on the data path. Buffers have one of their own, so that their bytes outlive other hostcalls.
var (
	bufferArena []byte
	smallArena  []byte
	wantsBuffer bool // the hostcall under way is for a buffer
)

const (
	minBufferArena = 64 << 10
	minSmallArena  = 4 << 10
)

//go:wasmexport proxy_on_memory_allocate
func proxyOnMemoryAllocate(size uint32) unsafe.Pointer {
	if wantsBuffer {
		return reserve(&bufferArena, int(size), minBufferArena)
	}
	return reserve(&smallArena, int(size), minSmallArena)
}

func reserve(arena *[]byte, size, least int) unsafe.Pointer {
	if size > len(*arena) {
		*arena = make([]byte, max(size, least))
	}
	return unsafe.Pointer(unsafe.SliceData(*arena))
}

//go:wasmexport proxy_abi_version_0_2_1
func proxyABIVersion() {}

//go:wasmexport proxy_on_vm_start
func proxyOnVMStart(_, configurationSize uint32) uint32 {
	return asUint32(bool(vm.OnVMStart(int(configurationSize))))
}

//go:wasmexport proxy_on_configure
func proxyOnConfigure(root, configurationSize uint32) uint32 {
	plugin, ok := roots[root]
	if !ok {
		return 0
	}
	return asUint32(bool(plugin.OnPluginStart(int(configurationSize))))
}

//go:wasmexport proxy_on_context_create
func proxyOnContextCreate(context, root uint32) {
	if root == 0 {
		roots[context] = vm.NewPluginContext(context)
		return
	}
	if plugin, ok := roots[root]; ok {
		streams[context] = plugin.NewTcpContext(context)
	}
}

//go:wasmexport proxy_on_tick
func proxyOnTick(root uint32) {
	if plugin, ok := roots[root]; ok {
		plugin.OnTick()
	}
}

//go:wasmexport proxy_on_http_call_response
func proxyOnHTTPCallResponse(_, call, _, bodySize, _ uint32) {
	if done, ok := calls[call]; ok {
		delete(calls, call)
		done(int(bodySize))
	}
}

//go:wasmexport proxy_on_new_connection
func proxyOnNewConnection(context uint32) uint32 {
	if stream, ok := streams[context]; ok {
		return uint32(stream.OnNewConnection())
	}
	return uint32(types.ActionContinue)
}

//go:wasmexport proxy_on_downstream_data
func proxyOnDownstreamData(context, size, end uint32) uint32 {
	if stream, ok := streams[context]; ok {
		return uint32(stream.OnDownstreamData(int(size), end != 0))
	}
	return uint32(types.ActionContinue)
}

//go:wasmexport proxy_on_upstream_data
func proxyOnUpstreamData(context, size, end uint32) uint32 {
	if stream, ok := streams[context]; ok {
		return uint32(stream.OnUpstreamData(int(size), end != 0))
	}
	return uint32(types.ActionContinue)
}

//go:wasmexport proxy_on_downstream_connection_close
func proxyOnDownstreamConnectionClose(context, peer uint32) {
	if stream, ok := streams[context]; ok {
		stream.OnDownstreamClose(types.PeerType(peer))
	}
}

//go:wasmexport proxy_on_upstream_connection_close
func proxyOnUpstreamConnectionClose(context, peer uint32) {
	if stream, ok := streams[context]; ok {
		stream.OnUpstreamClose(types.PeerType(peer))
	}
}

//go:wasmexport proxy_on_done
func proxyOnDone(context uint32) uint32 {
	if plugin, ok := roots[context]; ok {
		return asUint32(plugin.OnPluginDone())
	}
	return 1
}

// proxyOnLog is for access logs; a stream's end is proxy_on_delete, which every proxy calls.
//
//go:wasmexport proxy_on_log
func proxyOnLog(uint32) {}

//go:wasmexport proxy_on_delete
func proxyOnDelete(context uint32) {
	if stream, ok := streams[context]; ok {
		stream.OnStreamDone()
		delete(streams, context)
		return
	}
	delete(roots, context)
}

func asUint32(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
