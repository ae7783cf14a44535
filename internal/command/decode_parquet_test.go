package command

import (
	"bytes"
	"os"
	"strings"
	"testing"

	parquetgo "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"l4dump/internal/capture/parquet"
)

// TestDecodeToParquet holds that a table has the records that were asked for, and that only its owner may read the file.
func TestDecodeToParquet(t *testing.T) {
	t.Chdir(t.TempDir())
	log := strings.Join(dumpLines(), "") + strings.Join(dumpLinesOf(0x2b, "", "hello", "world\n"), "")
	kinds := func(content []byte) (list []string) {
		rows, err := parquetgo.Read[parquet.Row](bytes.NewReader(content), int64(len(content)))
		require.NoError(t, err)
		for _, row := range rows {
			list = append(list, row.Conn[len(row.Conn)-2:]+" "+row.Kind)
		}
		return list
	}
	code, table, stderr := runCommand(log, "decode", "--format", "parquet", "--conn", "9f0c6a1be3d2a417-2b", "--strict")
	require.Zero(t, code)
	require.Equal(t, "4 records of 1 connection: 5 bytes downstream, 6 bytes upstream; 0 faults\n", stderr)
	require.Equal(t, []string{"2b open", "2b data", "2b data", "2b close", "2b verdict"}, kinds([]byte(table)))

	code, _, stderr = runCommand(log, "decode", "--format", "parquet", "--out", "dump.parquet", "--conn", "9f0c6a1be3d2a417-2b")
	require.Zero(t, code, stderr)
	written, err := os.ReadFile("dump.parquet")
	require.NoError(t, err)
	require.Equal(t, table, string(written))
	info, err := os.Stat("dump.parquet")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	code, _, stderr = runCommand(log, "decode", "--format", "parquet", "--out", "dump.parquet")
	require.Equal(t, 1, code)
	require.Equal(t, "l4dump: open dump.parquet: file exists; name another one, or replace it with --force\n", stderr)

	code, table, stderr = runCommand("no record\n", "decode", "--format", "parquet")
	require.Equal(t, 1, code, stderr)
	require.Empty(t, kinds([]byte(table)))
}
