//go:build wasip1

// Command empty is a network filter that does nothing: what is left of the plugin's cost without the plugin.
package main

import "unsafe"

func main() {}

var arena [4096]byte

//go:wasmexport proxy_abi_version_0_2_1
func proxyABIVersion() {}

//go:wasmexport proxy_on_memory_allocate
func proxyOnMemoryAllocate(uint32) unsafe.Pointer { return unsafe.Pointer(&arena) }

//go:wasmexport proxy_on_vm_start
func proxyOnVMStart(_, _ uint32) uint32 { return 1 }

//go:wasmexport proxy_on_configure
func proxyOnConfigure(_, _ uint32) uint32 { return 1 }

//go:wasmexport proxy_on_context_create
func proxyOnContextCreate(_, _ uint32) {}

//go:wasmexport proxy_on_new_connection
func proxyOnNewConnection(uint32) uint32 { return 0 }

//go:wasmexport proxy_on_downstream_data
func proxyOnDownstreamData(_, _, _ uint32) uint32 { return 0 }

//go:wasmexport proxy_on_upstream_data
func proxyOnUpstreamData(_, _, _ uint32) uint32 { return 0 }

//go:wasmexport proxy_on_done
func proxyOnDone(uint32) uint32 { return 1 }

//go:wasmexport proxy_on_delete
func proxyOnDelete(uint32) {}
