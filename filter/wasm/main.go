// Command wasm is the plugin module: build it with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o l4dump.wasm ./filter/wasm
package main

import (
	"l4dump/filter"
	"l4dump/internal/abi"
)

// The proxy calls a library's init functions, never its main.
func init() { abi.Run(filter.New(filter.ProxyOptions())) }

func main() {}
