//go:build wasip1

// Command guest is a plugin that measures, inside the proxy's virtual machine, how fast a data record is made. It logs
// one line for each round, "hex: append=NS encode=NS", the time of each for the whole of its bytes.
package main

import (
	"encoding/hex"
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/record"
)

func init() { abi.Run(&vm{}) }

func main() {}

const (
	payloadBytes = 64 << 10
	warmUps      = 64 // calls of each before the first round
	repeats      = 16 // calls of each in a round
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
	b := newBench()
	b.append(warmUps)
	b.encode(warmUps)
	for range rounds {
		line := "hex: append=" + strconv.FormatInt(b.append(repeats), 10) +
			" encode=" + strconv.FormatInt(b.encode(repeats), 10)
		abi.Log(abi.LevelInfo, []byte(line))
	}
	return types.OnPluginStartStatusOK
}

type bench struct {
	payload []byte
	line    []byte
	header  record.Header
}

func newBench() *bench {
	b := &bench{payload: make([]byte, payloadBytes), line: make([]byte, 0, record.MaxDataOverhead+2*payloadBytes)}
	seed := uint64(1)
	for i := range b.payload {
		seed = seed*6364136223846793005 + 1442695040888963407 // Knuth's MMIX; tables must not profit from a pattern
		b.payload[i] = byte(seed >> 56)
	}
	return b
}

// append returns the nanoseconds that n data records take: digits, header and checksum.
func (b *bench) append(n int) int64 {
	start := abi.Now()
	for range n {
		b.line = record.AppendData(b.line[:0], &b.header, record.Downstream, 0, b.payload)
	}
	return abi.Now() - start
}

// encode returns the nanoseconds that the digits alone take in encoding/hex.
func (b *bench) encode(n int) int64 {
	digits := b.line[:2*len(b.payload)]
	start := abi.Now()
	for range n {
		hex.Encode(digits, b.payload)
	}
	return abi.Now() - start
}
