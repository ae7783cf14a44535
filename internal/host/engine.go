// Package host runs a network filter written for proxy-wasm 0.2.1 on wazero, with the behavior of Envoy 1.40.
//
// An [Engine] is one compiled module with its VMs: one for each worker and one for the main thread. A [Filter] is one
// plugin configuration in all these VMs, and a [Stream] is one connection that a filter sees:
//
//	Engine ─┬─ VM of worker 0 ─┬─ root context of filter A ── streams
//	        │                  └─ root context of filter B ── streams
//	        ├─ VM of worker 1 ── …
//	        └─ VM of the main thread ── …
//
// A VM is single threaded: the methods of a Stream wait for their turn.
package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// ErrRejected is returned for a configuration that the plugin refused: proxy_on_configure or proxy_on_vm_start returned
// false, or failed.
var ErrRejected = errors.New("plugin rejected its configuration")

// VMConfig is what the VMs of an engine are made of.
type VMConfig struct {
	ID            string // names the space of shared data; may be empty
	Configuration []byte // passed to proxy_on_vm_start
	Code          []byte // a WebAssembly module
}

// Options is what an engine needs from the process. All fields but HTTP and CacheDir are required.
type Options struct {
	Workers int // how many workers there are, at least 1
	Now     func() time.Time
	Log     *Logger
	Shared  *SharedData
	Metrics *Metrics // what the plugin defines
	// HTTP makes the calls of proxy_http_call; nil knows no cluster.
	HTTP HTTPClient
	// CacheDir keeps compiled modules between two runs of the process; empty keeps them in memory.
	CacheDir string
	// PollFails answers poll_oneoff with ENOSYS, as Envoy did before 1.39.
	PollFails bool
}

// Engine is a compiled module with its VMs. It may be used by several goroutines at once.
type Engine struct {
	config  VMConfig
	options Options
	cache   wazero.CompilationCache
	runtime wazero.Runtime
	module  wazero.CompiledModule
	tasks   sync.WaitGroup // timers that fire and HTTP calls under way

	mu  sync.Mutex
	vms []*VM // of the workers, then of the main thread; nil until the first filter
}

// NewEngine compiles config.Code. The error names whatever Envoy would not accept: a missing ABI version or an import that
// it lacks.
func NewEngine(ctx context.Context, config VMConfig, options Options) (*Engine, error) {
	cache := wazero.NewCompilationCache()
	if options.CacheDir != "" {
		var err error
		if cache, err = wazero.NewCompilationCacheWithDir(options.CacheDir); err != nil {
			return nil, fmt.Errorf("open cache of compiled modules: %w", err)
		}
	}
	e := &Engine{config: config, options: options, cache: cache, vms: make([]*VM, options.Workers+1)}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	if err := e.compile(ctx); err != nil {
		return nil, errors.Join(err, e.runtime.Close(ctx), cache.Close(ctx))
	}
	options.Shared.retain(config.ID)
	return e, nil
}

func (e *Engine) compile(ctx context.Context) error {
	var err error
	if e.module, err = e.runtime.CompileModule(ctx, e.config.Code); err != nil {
		return fmt.Errorf("compile module: %w", err)
	}
	if err := checkModule(e.module); err != nil {
		return err
	}
	wasi := e.runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(wasi)
	if e.options.PollFails {
		wasi.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(pollFails), i32s(4), i32s(1)).Export("poll_oneoff")
	}
	if _, err := wasi.Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate WASI: %w", err)
	}
	env := e.runtime.NewHostModuleBuilder("env")
	for _, call := range hostcalls {
		env.NewFunctionBuilder().WithGoModuleFunction(call.function(), call.params, i32s(1)).Export(call.name)
	}
	if _, err := env.Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate hostcalls: %w", err)
	}
	return nil
}

// checkModule refuses what Envoy would refuse when it loads a module.
func checkModule(module wazero.CompiledModule) error {
	var faults []error
	exports := module.ExportedFunctions()
	if _, ok := exports["proxy_abi_version_0_2_1"]; !ok {
		faults = append(faults, errors.New("load module: want the export proxy_abi_version_0_2_1"))
	}
	if exports["malloc"] == nil && exports["proxy_on_memory_allocate"] == nil {
		faults = append(faults, errors.New("load module: want the export proxy_on_memory_allocate or malloc"))
	}
	for _, function := range module.ImportedFunctions() {
		from, name, _ := function.Import()
		switch {
		case from == "env" && slices.ContainsFunc(hostcalls, func(call hostcall) bool { return call.name == name }):
		case from == wasi_snapshot_preview1.ModuleName && slices.Contains(wasiFunctions, name):
		default:
			faults = append(faults, fmt.Errorf("load module: import %s.%s: not provided by Envoy", from, name))
		}
	}
	return errors.Join(faults...)
}

// Configure makes a filter of plugin: it tries the configuration in a VM of its own, which is then dropped, and then makes
// a root context in the VM of the main thread and of each worker. VMs are reused unless they failed. A configuration that
// the plugin refuses is ErrRejected, and changes nothing.
func (e *Engine) Configure(ctx context.Context, plugin Plugin) (*Filter, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.try(ctx, &plugin); err != nil {
		return nil, err
	}
	f := &Filter{engine: e, plugin: &plugin, roots: make([]*root, len(e.vms)), done: make(chan struct{})}
	f.unfinished.Store(int32(len(e.vms)))
	main := len(e.vms) - 1
	// The main thread comes first, as in Envoy.
	for i := range e.vms {
		slot := (i + main) % len(e.vms)
		thread := slot + 1
		if slot == main {
			thread = 0
		}
		if err := e.start(ctx, f, slot, thread); err != nil {
			for _, r := range f.roots {
				if r != nil {
					r.release()
				}
			}
			return nil, err
		}
	}
	return f, nil
}

// start makes the root context of f in the VM of slot. f is not yet known to anybody else.
func (e *Engine) start(ctx context.Context, f *Filter, slot, thread int) error {
	vm := e.vms[slot]
	if vm == nil || vm.Failed() {
		fresh, err := e.newVM(ctx, thread)
		if err != nil {
			return err
		}
		if vm != nil {
			vm.drop(ctx) // its streams continue by the failure policy, without the guest
		}
		e.vms[slot], vm = fresh, fresh
	}
	r, err := vm.newRoot(f)
	if err != nil {
		return err
	}
	f.roots[slot] = r
	return nil
}

// try runs plugin in a VM of its own: what Envoy calls the canary. Its effects on shared data, metrics and the log are
// real; it gets no proxy_on_done.
func (e *Engine) try(ctx context.Context, plugin *Plugin) error {
	vm, err := e.newVM(ctx, 0)
	if err != nil {
		return err
	}
	_, err = vm.newRoot(&Filter{engine: e, plugin: plugin})
	vm.drop(ctx)
	return err
}

// newVM instantiates the module for a thread: 0 is the main thread, workers count from 1.
func (e *Engine) newVM(ctx context.Context, thread int) (*VM, error) {
	vm := &VM{engine: e, thread: thread, contexts: make(map[uint32]*guestContext), nextID: 1}
	vm.background = &guestContext{vm: vm}
	vm.current = vm.background
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	vm.ctx, vm.cancel = &vmContext{Context: base, vm: vm}, cancel
	config := wazero.NewModuleConfig().
		WithName(""). // many instances of one module
		WithStartFunctions().
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().
		WithRandSource(randomSource{}).
		WithStdout(&guestOutput{vm: vm, level: LevelInfo}).
		WithStderr(&guestOutput{vm: vm, level: LevelError})
	var err error
	if vm.module, err = e.runtime.InstantiateModule(vm.ctx, e.module, config); err != nil {
		cancel()
		return nil, fmt.Errorf("instantiate module: %w", err)
	}
	vm.bind()
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if start := vm.module.ExportedFunction("_initialize"); start != nil {
		if err := vm.call(vm.background, start, "_initialize", 0); err != nil {
			vm.close(ctx)
			return nil, fmt.Errorf("start VM: %w", err)
		}
	}
	return vm, nil
}

// Close ends the VMs: their root contexts get proxy_on_done and proxy_on_delete, as at Envoy's end. The streams must have
// ended.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, vm := range e.vms {
		if vm != nil {
			vm.shutdown(ctx)
		}
	}
	e.tasks.Wait()
	e.options.Shared.release(e.config.ID)
	return errors.Join(e.runtime.Close(ctx), e.cache.Close(ctx))
}

// VMs returns how many VMs there are, and how many of these have failed.
func (e *Engine) VMs() (all, failed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, vm := range e.vms {
		if vm == nil {
			continue
		}
		all++
		if vm.Failed() {
			failed++
		}
	}
	return all, failed
}

// explain shortens what wazero says of a trap or an exit.
func explain(err error) string {
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return fmt.Sprintf("proc_exit(%d)", exit.ExitCode())
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
