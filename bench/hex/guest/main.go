//go:build wasip1

// Command guest is a plugin that measures, inside the proxy's virtual machine, how fast each form is made. It logs a line
// for each form and round, "hex=NS NAME", the time for all its bytes.
package main

import (
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/bench/hex/forms"
	"l4dump/internal/abi"
)

func init() { abi.Run(&vm{}) }

func main() {}

const (
	payloadBytes = 64 << 10
	repeats      = 16 // calls of each form in a round
	rounds       = 101
)

type vm struct{ types.DefaultVMContext }

func (v *vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct{ types.DefaultPluginContext }

// OnPluginStart measures in the first of the proxy's machines only: they would share the processor.
func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	const key = "hex/measured"
	if _, _, err := abi.SharedData(key); err == nil {
		return types.OnPluginStartStatusOK
	}
	if err := abi.SetSharedData(key, []byte{1}, 0); err != nil {
		abi.Log(abi.LevelError, []byte("hex: "+err.Error()))
		return types.OnPluginStartStatusFailed
	}
	payload := newPayload()
	text := make([]byte, 0, forms.MaxBytes(len(payload)))
	all := forms.All()
	for range rounds {
		for _, form := range all {
			start := abi.Now()
			for range repeats {
				form.Append(text, payload)
			}
			abi.Log(abi.LevelInfo, []byte("hex="+strconv.FormatInt(abi.Now()-start, 10)+" "+form.Name))
		}
	}
	return types.OnPluginStartStatusOK
}

// newPayload returns bytes without a pattern that a table's cache would profit from.
func newPayload() []byte {
	payload := make([]byte, payloadBytes)
	seed := uint64(1)
	for i := range payload {
		seed = seed*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
		payload[i] = byte(seed >> 56)
	}
	return payload
}
