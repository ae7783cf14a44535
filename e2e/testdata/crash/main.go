// Command crash is the plugin, but it panics where a client's data holds a magic text. The end-to-end tests build it.
package main

import (
	"bytes"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/filter"
	"l4dump/internal/abi"
)

const magic = "crash now"

func init() { abi.Run(vm{filter.New(filter.ProxyOptions())}) }

func main() {}

type vm struct{ types.VMContext }

func (v vm) NewPluginContext(id uint32) types.PluginContext {
	return plugin{v.VMContext.NewPluginContext(id)}
}

type plugin struct{ types.PluginContext }

func (p plugin) NewTcpContext(id uint32) types.TcpContext {
	return connection{p.PluginContext.NewTcpContext(id)}
}

type connection struct{ types.TcpContext }

func (c connection) OnDownstreamData(size int, end bool) types.Action {
	if data, err := abi.DownstreamData(0, size); size > 0 && err == nil && bytes.Contains(data, []byte(magic)) {
		panic("crash on demand")
	}
	return c.TcpContext.OnDownstreamData(size, end)
}
