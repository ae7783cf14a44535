// Package abi is proxy-wasm 0.2.1 for a network filter built by stock Go: the exports that the proxy calls, and the
// hostcalls that the filter makes (https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1).
//
// For wasip1 it speaks to the proxy itself, since the proxy-wasm Go SDK declares its ABI for TinyGo only. Natively the
// same functions go through the SDK, so that a filter runs in the SDK's emulator (proxytest).
//
// Bytes that a hostcall returns are valid until the next hostcall; those of a buffer (DownstreamData, UpstreamData,
// PluginConfiguration, HTTPCallBody) until the next buffer is asked for.
package abi

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

// Level is a log level of the proxy.
type Level uint32

// The levels, as proxy_log takes them.
const (
	LevelTrace Level = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
	LevelCritical
)

// Metric is the proxy's number of a metric.
type Metric uint32

var statusErrors = map[uint32]error{
	1:  types.ErrorStatusNotFound,
	2:  types.ErrorStatusBadArgument,
	7:  types.ErrorStatusEmpty,
	8:  types.ErrorStatusCasMismatch,
	10: types.ErrorInternalFailure,
	12: types.ErrorUnimplemented,
}

// statusError returns the sentinel error of proxywasm/types for a hostcall's status, nil for 0.
func statusError(status uint32) error {
	if status == 0 {
		return nil
	}
	if err, ok := statusErrors[status]; ok {
		return err
	}
	return types.ErrorInternalFailure
}

// serializedMap is the ABI's form of headers:
//
//	count, then for each its name's and its value's length (all uint32, little-endian), then for each name 0 value 0
func serializedMap(pairs [][2]string) []byte {
	size := 4
	for _, pair := range pairs {
		size += 8 + len(pair[0]) + 1 + len(pair[1]) + 1
	}
	b := appendUint32(make([]byte, 0, size), uint32(len(pairs)))
	for _, pair := range pairs {
		b = appendUint32(b, uint32(len(pair[0])))
		b = appendUint32(b, uint32(len(pair[1])))
	}
	for _, pair := range pairs {
		b = append(append(b, pair[0]...), 0)
		b = append(append(b, pair[1]...), 0)
	}
	return b
}

func appendUint32(b []byte, n uint32) []byte {
	return append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// serializedPath is the ABI's form of a property's path: its parts with a zero byte between them.
func serializedPath(path []string) []byte {
	var b []byte
	for i, part := range path {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, part...)
	}
	return b
}
