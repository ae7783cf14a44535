// Command meter is the plugin with a meter around it, for tests: it collects garbage where a connection sends "collect" and
// logs how much memory is in use, and how much was allocated between a "begin" and an "end".
package main

import (
	"fmt"
	"runtime"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/filter"
	"l4dump/internal/abi"
)

func init() { abi.Run(vm{filter.New(filter.ProxyOptions())}) }

func main() {}

type vm struct{ types.VMContext }

func (v vm) NewPluginContext(id uint32) types.PluginContext {
	return plugin{v.VMContext.NewPluginContext(id)}
}

type plugin struct{ types.PluginContext }

func (p plugin) NewTcpContext(id uint32) types.TcpContext {
	return &connection{TcpContext: p.PluginContext.NewTcpContext(id)}
}

// The meter, apart from connections: it must not add to what they take.
var (
	before runtime.MemStats
	reads  int
	bytes  int
)

type connection struct{ types.TcpContext }

func (c *connection) OnDownstreamData(size int, end bool) types.Action {
	if size < 10 {
		word, _ := abi.DownstreamData(0, size)
		switch string(word) {
		case "collect":
			runtime.GC()
			runtime.GC() // frees what the first was still sweeping
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			abi.Log(abi.LevelInfo, fmt.Appendf(nil, "meter: %d bytes in use", now.HeapAlloc))
		case "begin":
			reads, bytes = 0, 0
			runtime.ReadMemStats(&before)
		case "end":
			var after runtime.MemStats
			runtime.ReadMemStats(&after)
			abi.Log(abi.LevelInfo, fmt.Appendf(nil, "meter: %d allocations of %d bytes in %d reads of %d bytes",
				after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc, reads, bytes))
		}
		return types.ActionContinue
	}
	reads++
	bytes += size
	return c.TcpContext.OnDownstreamData(size, end)
}
