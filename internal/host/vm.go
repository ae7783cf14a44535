package host

import (
	"context"
	"errors"
	"sync"

	"github.com/tetratelabs/wazero/api"
)

// errFailed is what a call into a failed VM returns.
var errFailed = errors.New("the VM has failed")

// VM is one instance of a module. Its fields and its guest are guarded by mu; what is called in the guest runs
// with mu held, hostcalls too.
type VM struct {
	engine *Engine
	thread int
	ctx    *vmContext
	cancel context.CancelFunc

	mu      sync.Mutex
	module  api.Module
	memory  api.Memory
	exports exports
	// stack holds the parameters and the result of the present call; allocStack those of the allocation within it.
	stack      [5]uint64
	allocStack [1]uint64
	scratch    []byte // values on their way to the guest

	background *guestContext // id 0: what runs outside of any context
	current    *guestContext
	contexts   map[uint32]*guestContext
	nextID     uint32

	metrics      [2]map[uint32]*Metric // by kind, then by id
	nextMetric   [2]uint32
	nextToken    uint32
	after        []func() // to do when the present call has returned
	failed       error
	closed       bool
	pauseRefused bool
}

// guestContext is a root context or the context of a stream.
type guestContext struct {
	vm     *VM
	id     uint32
	root   *root
	stream *Stream // nil in a root context
	prefix string  // of its log lines
}

// vmContext passes the VM to its hostcalls without an allocation.
type vmContext struct {
	context.Context
	vm *VM
}

type vmKey struct{}

func (c *vmContext) Value(key any) any {
	if key == (vmKey{}) {
		return c.vm
	}
	return c.Context.Value(key)
}

// exports are the callbacks of the guest; nil for what it does not export.
type exports struct {
	allocate, contextCreate, vmStart, configure, tick, newConnection, downstreamData, upstreamData, downstreamClose,
	upstreamClose, httpCallResponse, done, log, delete api.Function
}

func (vm *VM) bind() {
	get := vm.module.ExportedFunction
	vm.memory = vm.module.Memory()
	vm.exports = exports{
		allocate:         get("malloc"), // preferred by Envoy
		contextCreate:    get("proxy_on_context_create"),
		vmStart:          get("proxy_on_vm_start"),
		configure:        get("proxy_on_configure"),
		tick:             get("proxy_on_tick"),
		newConnection:    get("proxy_on_new_connection"),
		downstreamData:   get("proxy_on_downstream_data"),
		upstreamData:     get("proxy_on_upstream_data"),
		downstreamClose:  get("proxy_on_downstream_connection_close"),
		upstreamClose:    get("proxy_on_upstream_connection_close"),
		httpCallResponse: get("proxy_on_http_call_response"),
		done:             get("proxy_on_done"),
		log:              get("proxy_on_log"),
		delete:           get("proxy_on_delete"),
	}
	if vm.exports.allocate == nil {
		vm.exports.allocate = get("proxy_on_memory_allocate")
	}
}

// Failed says whether the guest trapped or exited. A failed VM is never called again.
func (vm *VM) Failed() bool {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.failed != nil
}

func (vm *VM) newID() uint32 {
	for {
		id := vm.nextID
		vm.nextID++
		if _, used := vm.contexts[id]; id != 0 && !used {
			return id
		}
	}
}

// invoke calls f in context c and returns its first result. A failure is logged, and fails the VM. Allocation-free.
func (vm *VM) invoke(c *guestContext, f api.Function, name string, args ...uint64) (uint64, error) {
	if err := vm.call(c, f, name, args...); err != nil {
		return 0, err
	}
	return vm.stack[0], nil
}

// notify calls an f that returns nothing. Allocation-free.
func (vm *VM) notify(c *guestContext, f api.Function, name string, args ...uint64) {
	_ = vm.call(c, f, name, args...) // logged, and the VM has failed
}

func (vm *VM) call(c *guestContext, f api.Function, name string, args ...uint64) error {
	if vm.failed != nil || vm.closed {
		return errFailed
	}
	vm.current = c
	copy(vm.stack[:], args)
	err := f.CallWithStack(vm.ctx, vm.stack[:])
	vm.current = vm.background
	if err != nil {
		vm.fail(name, err)
	}
	if len(vm.after) > 0 {
		result, after := vm.stack[0], vm.after
		vm.after = nil
		for _, do := range after {
			do()
		}
		vm.stack[0] = result
	}
	return err
}

// fail marks the VM as failed and says why, with the guest's stack.
func (vm *VM) fail(function string, err error) {
	if vm.failed != nil {
		return
	}
	vm.failed = err
	for _, c := range vm.contexts {
		if c.stream == nil && c.root != nil {
			c.root.setTick(0)
		}
	}
	log := vm.engine.options.Log
	log.printf(LevelError, log.thread+vm.thread, "wasm", failureSource, "Function: %s failed: %s", function, explain(err))
	log.printf(LevelDebug, log.thread+vm.thread, "wasm", failureSource, "%v", err)
}

// done calls proxy_on_done and says whether the context may be deleted.
func (vm *VM) done(c *guestContext) bool {
	if vm.exports.done == nil || vm.failed != nil {
		return true
	}
	result, err := vm.invoke(c, vm.exports.done, "proxy_on_done", uint64(c.id))
	return err != nil || uint32(result) != 0
}

func (vm *VM) delete(c *guestContext) {
	if vm.exports.delete != nil && vm.failed == nil {
		vm.notify(c, vm.exports.delete, "proxy_on_delete", uint64(c.id))
	}
}

// allocate returns n bytes of the guest's memory. A guest that fails here fails the whole call.
func (vm *VM) allocate(n uint32) (address uint32, ok bool) {
	vm.allocStack[0] = uint64(n)
	if err := vm.exports.allocate.CallWithStack(vm.ctx, vm.allocStack[:]); err != nil {
		panic(err)
	}
	address = uint32(vm.allocStack[0])
	return address, address != 0
}

// give copies data to the guest, and writes its address and its length to the places that the guest named.
func (vm *VM) give(data []byte, addressAt, lengthAt uint32) status {
	var address uint32
	if len(data) > 0 {
		var ok bool
		if address, ok = vm.allocate(uint32(len(data))); !ok || !vm.memory.Write(address, data) {
			return statusInvalidMemoryAccess
		}
	}
	if !vm.memory.WriteUint32Le(addressAt, address) || !vm.memory.WriteUint32Le(lengthAt, uint32(len(data))) {
		return statusInvalidMemoryAccess
	}
	return statusOK
}

// drop ends a VM that tried a configuration, or that failed, without calling its guest.
func (vm *VM) drop(ctx context.Context) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	vm.close(ctx)
}

// shutdown ends the root contexts and the VM.
func (vm *VM) shutdown(ctx context.Context) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	for _, c := range vm.contexts {
		if c.stream == nil && !c.root.finished {
			c.root.finish()
		}
	}
	vm.close(ctx)
}

func (vm *VM) close(ctx context.Context) {
	for _, c := range vm.contexts {
		if c.stream == nil {
			c.root.setTick(0)
		}
	}
	vm.closed = true
	vm.cancel()
	// A guest that has left by proc_exit is closed already; there is nothing else that could fail.
	_ = vm.module.Close(ctx)
}
