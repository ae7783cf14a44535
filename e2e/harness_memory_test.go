package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pluginBytes returns the memory of an Envoy's WebAssembly VMs, and how many VMs there are. V8 reserves 8 GiB of addresses
// for each, and makes accessible what its memory has grown to: /proc/PID/maps shows a mapping that is writable directly
// before one of gigabytes that is not accessible. A VM's memory never shrinks.
func (p *proxy) pluginBytes() (bytes int64, vms int) {
	p.t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	return parseLinearMemory(p.t, string(maps))
}

func parseLinearMemory(t *testing.T, maps string) (bytes int64, vms int) {
	t.Helper()
	const reserved = 4 << 30 // at least, of what a VM cannot grow to
	var last, end uint64     // of the accessible mapping before
	for line := range strings.Lines(maps) {
		var from, to uint64
		var mode string
		_, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode)
		require.NoError(t, err, line)
		switch {
		case strings.HasPrefix(mode, "rw"):
			last, end = from, to
		case strings.HasPrefix(mode, "---") && from == end && to-from >= reserved:
			bytes += int64(end - last)
			vms++
		}
	}
	return bytes, vms
}

func TestParseLinearMemory(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		maps  string
		bytes int64
		vms   int
	}{
		{"none", "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n", 0, 0},
		{"two", "100000000-100010000 rw-p 00000000 00:00 0 [anon:v8]\n100010000-300000000 ---p 00000000 00:00 0 \n" +
			"400000000-400400000 rw-p 00000000 00:00 0 \n400400000-500400000 ---p 00000000 00:00 0 \n", 64<<10 + 4<<20, 2},
		{"a page less is reserved", "400000000-400400000 rw-p 00000000 00:00 0 \n400400000-5003ff000 ---p 00000000 00:00 0 \n", 0, 0},
		{"not next to it", "400000000-400400000 rw-p 00000000 00:00 0 \n400401000-600000000 ---p 00000000 00:00 0 \n", 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			bytes, vms := parseLinearMemory(t, row.maps)
			require.Equal(t, row.bytes, bytes)
			require.Equal(t, row.vms, vms)
		})
	}
}
