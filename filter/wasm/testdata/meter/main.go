// Command meter is the plugin with a meter around it, for tests: it collects garbage where a connection sends "collect",
// and logs how much memory was allocated between a connection's "begin" and its "end".
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

type connection struct {
	types.TcpContext
	before runtime.MemStats
	reads  int
	bytes  int
}

func (c *connection) OnDownstreamData(size int, end bool) types.Action {
	if size < 10 {
		word, _ := abi.DownstreamData(0, size)
		switch string(word) {
		case "collect":
			runtime.GC()
		case "begin":
			c.reads, c.bytes = 0, 0
			runtime.ReadMemStats(&c.before)
		case "end":
			var after runtime.MemStats
			runtime.ReadMemStats(&after)
			abi.Log(abi.LevelInfo, fmt.Appendf(nil, "meter: %d allocations of %d bytes in %d reads of %d bytes",
				after.Mallocs-c.before.Mallocs, after.TotalAlloc-c.before.TotalAlloc, c.reads, c.bytes))
		}
		return types.ActionContinue
	}
	c.reads++
	c.bytes += size
	return c.TcpContext.OnDownstreamData(size, end)
}
