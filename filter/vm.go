// Package filter is the plugin: it watches the TCP connections of a proxy's listeners and writes down what passes, as
// its configuration's strategy says. It only observes: it always continues, never changes a byte, and what it does not
// record it counts.
//
// The proxy runs it in one single-threaded VM for each worker, and one more on its main thread. A VM has a plugin for
// each configuration that is in use, and a connection for each connection.
package filter

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/record"
	"l4dump/strategy"
)

// Options are what a VM takes from the world outside. Data and configuration come through internal/abi.
type Options struct {
	Now      func() int64                          // nanoseconds since the Unix epoch
	Random   func() uint64                         // makes connection identifiers unique
	LogLevel func() abi.Level                      // the level from which the proxy writes lines
	Log      func(level abi.Level, message []byte) // writes a line; must not keep message
}

// ProxyOptions are the ones that the proxy gives.
func ProxyOptions() Options {
	return Options{Now: abi.Now, Random: abi.Random, LogLevel: abi.LogLevel, Log: abi.Log}
}

// vm is what a worker's plugins share.
type vm struct {
	types.DefaultVMContext
	Options
	started     bool
	id          uint64 // drawn at random; part of every connection's identifier
	connections uint64 // counts all of them
	headcounts  uint64 // the same
	metrics     metrics
	messages    messages
	budget      strategy.Budget
	admission   strategy.Admission
	spentUntil  *sharedNumber       // the shared part of budget and admission
	sidecars    map[string]*sidecar // by cluster
	plugins     map[*plugin]bool    // all
	newest      map[string]*plugin  // by name
}

// New returns the context to give to abi.Run.
func New(o Options) types.VMContext {
	return &vm{
		Options:  o,
		messages: messages{o.Log},
		sidecars: map[string]*sidecar{},
		plugins:  map[*plugin]bool{},
		newest:   map[string]*plugin{},
	}
}

// OnVMStart implements types.VMContext. Envoy calls it for every plugin; the VM starts with the first.
func (v *vm) OnVMStart(int) types.OnVMStartStatus {
	if !v.started {
		v.started = true
		v.id = v.Random()
		v.metrics.define()
		v.spentUntil = newSharedNumber("l4dump/spent_until")
	}
	return types.OnVMStartStatusOK
}

// NewPluginContext implements types.VMContext.
func (v *vm) NewPluginContext(uint32) types.PluginContext {
	return &plugin{vm: v, off: strategy.SwitchedOff}
}

// shared returns what a plugin shares with those of its name in other VMs. Only from a plugin's start.
func (v *vm) shared(name string) strategy.Shared {
	var keys [3]string
	for i, what := range [...]string{"connections/", "window_connections/", "window_bytes/"} {
		keys[i] = "l4dump/" + what + name
		seed(keys[i], make([]byte, 8)) // 0, or no row of a headcount
	}
	v.headcounts++
	return strategy.Shared{
		SpentUntil:  v.spentUntil,
		Live:        &strategy.Headcount{Table: &sharedBytes{keys[0]}, ID: v.id + v.headcounts},
		Window:      &sharedNumber{key: keys[1]},
		WindowBytes: &sharedNumber{key: keys[2]},
	}
}

// nextConn returns the identifier of a new connection.
func (v *vm) nextConn() record.ConnID {
	v.connections++
	return record.ConnID{VM: v.id, Number: v.connections}
}
