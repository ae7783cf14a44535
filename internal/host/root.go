package host

import (
	"errors"
	"fmt"
	"time"
)

// root is the root context of a filter in one VM. Its fields are guarded by the VM's lock.
type root struct {
	guestContext
	filter   *Filter
	streams  int
	released bool
	finished bool // proxy_on_done was called
	deleted  bool
	pending  bool // proxy_on_done said "not yet"
	// configuring is the plugin whose configuration can be read at present.
	configuring *Plugin

	period time.Duration
	timer  *time.Timer

	calls    int           // HTTP calls under way
	response *HTTPResponse // what the present callback may read
}

// newRoot makes a root context: proxy_on_context_create, proxy_on_vm_start, proxy_on_configure. Envoy calls
// proxy_on_vm_start for every root context, not once for a VM.
func (vm *VM) newRoot(f *Filter) (*root, error) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	r := &root{filter: f}
	r.guestContext = guestContext{vm: vm, id: vm.newID(), root: r, prefix: f.plugin.rootPrefix(vm.engine.config.ID)}
	vm.contexts[r.id] = &r.guestContext
	err := vm.configure(r)
	if err != nil {
		r.remove()
		vm.engine.options.Log.printf(LevelError, vm.engine.options.Log.thread+vm.thread, "wasm", "source/extensions/common/wasm/wasm.cc:104",
			"Wasm VM failed Failed to configure base Wasm plugin")
		return nil, err
	}
	return r, nil
}

func (vm *VM) configure(r *root) error {
	r.configuring = r.filter.plugin
	if vm.exports.contextCreate != nil {
		vm.notify(&r.guestContext, vm.exports.contextCreate, "proxy_on_context_create", uint64(r.id), 0)
	}
	r.configuring = nil
	if start := vm.exports.vmStart; start != nil {
		ok, err := vm.invoke(&r.guestContext, start, "proxy_on_vm_start", uint64(r.id), uint64(len(vm.engine.config.Configuration)))
		if err = accepted("proxy_on_vm_start", ok, err); err != nil {
			return err
		}
	}
	if configure := vm.exports.configure; configure != nil {
		r.configuring = r.filter.plugin
		defer func() { r.configuring = nil }()
		ok, err := vm.invoke(&r.guestContext, configure, "proxy_on_configure", uint64(r.id), uint64(len(r.filter.plugin.Configuration)))
		return accepted("proxy_on_configure", ok, err)
	}
	return nil
}

func accepted(name string, result uint64, err error) error {
	switch {
	case errors.Is(err, errFailed):
		return fmt.Errorf("%w: %s: the VM failed before", ErrRejected, name)
	case err != nil:
		return fmt.Errorf("%w: %s: %s", ErrRejected, name, explain(err))
	case uint32(result) == 0:
		return fmt.Errorf("%w: %s returned false", ErrRejected, name)
	}
	return nil
}

// release marks the root context as replaced, and ends it if it has no stream.
func (r *root) release() {
	r.vm.mu.Lock()
	defer r.vm.mu.Unlock()
	r.released = true
	r.finishIfIdle()
}

func (r *root) finishIfIdle() {
	if !r.released || r.streams > 0 || r.finished {
		return
	}
	r.finish()
}

// finish calls proxy_on_done, and proxy_on_delete unless the plugin asks to wait for its proxy_done.
func (r *root) finish() {
	r.finished = true
	if r.vm.done(&r.guestContext) {
		r.delete()
		return
	}
	r.pending = true
}

// delete ends the root context; nothing is called in it any more.
func (r *root) delete() {
	r.pending = false
	r.vm.delete(&r.guestContext)
	r.remove()
	if r.filter.done != nil {
		r.filter.rootFinished()
	}
}

func (r *root) remove() {
	r.deleted = true
	r.setTick(0)
	delete(r.vm.contexts, r.id)
}

// setTick calls proxy_on_tick every period from now on; 0 ends it.
func (r *root) setTick(period time.Duration) {
	if r.timer != nil && r.timer.Stop() {
		r.vm.engine.tasks.Done()
	}
	r.timer, r.period = nil, period
	if period > 0 && !r.deleted && !r.vm.closed {
		r.arm()
	}
}

func (r *root) arm() {
	r.vm.engine.tasks.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(r.period, func() {
		defer r.vm.engine.tasks.Done()
		r.vm.mu.Lock()
		defer r.vm.mu.Unlock()
		r.tick(timer)
	})
	r.timer = timer
}

// tick runs proxy_on_tick for a timer that fired. The next period begins when the callback has returned, as in Envoy.
func (r *root) tick(timer *time.Timer) {
	if r.timer != timer || r.deleted || r.vm.closed || r.vm.failed != nil || r.vm.exports.tick == nil {
		return
	}
	r.timer = nil
	r.vm.notify(&r.guestContext, r.vm.exports.tick, "proxy_on_tick", uint64(r.id))
	if r.timer == nil && r.period > 0 && !r.deleted && !r.vm.closed && r.vm.failed == nil {
		r.arm()
	}
}
