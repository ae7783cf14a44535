package abi

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func TestSerializedMap(t *testing.T) {
	for _, row := range []struct {
		name  string
		pairs [][2]string
		want  string
	}{
		{"empty", nil, "\x00\x00\x00\x00"},
		{
			"two, one without a value",
			[][2]string{{":path", "/v1"}, {"x", ""}},
			"\x02\x00\x00\x00" + "\x05\x00\x00\x00\x03\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00" +
				":path\x00/v1\x00" + "x\x00\x00",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := serializedMap(row.pairs)
			require.Equal(t, row.want, string(got))
			require.Equal(t, len(got), cap(got), "sized once")
		})
	}
}

func TestSerializedPath(t *testing.T) {
	require.Equal(t, "plugin_name", string(serializedPath([]string{"plugin_name"})))
	require.Equal(t, "source\x00address", string(serializedPath([]string{"source", "address"})))
}

func TestStatusError(t *testing.T) {
	for status, want := range map[uint32]error{
		0: nil, 1: types.ErrorStatusNotFound, 2: types.ErrorStatusBadArgument, 7: types.ErrorStatusEmpty,
		8: types.ErrorStatusCasMismatch, 10: types.ErrorInternalFailure, 12: types.ErrorUnimplemented,
		99: types.ErrorInternalFailure,
	} {
		require.Equal(t, want, statusError(status), "status %d", status)
	}
}
