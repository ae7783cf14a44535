package parquet

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/capturetest"
)

// query returns what DuckDB answers to a query on a file, a line of JSON for each row. Without `make duckdb`, the test is
// skipped; in continuous integration it fails.
func query(t *testing.T, file, sql string) []map[string]any {
	t.Helper()
	python, err := filepath.Abs("../../../build/duckdb/bin/python")
	require.NoError(t, err)
	if _, err := os.Stat(python); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("DuckDB is not installed: make duckdb")
		}
		t.Skip("DuckDB is not installed: make duckdb")
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/query.py", file, sql)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	answer := []map[string]any{}
	for line := range bytes.Lines(out) {
		answer = append(answer, decoded(t, line))
	}
	return answer
}

// decoded returns an object with its numbers as they are written.
func decoded(t *testing.T, line []byte) (object map[string]any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&object))
	return object
}

// columns returns v, a struct, as DuckDB has it: by the names of columns, with bytes in hex.
func columns(v reflect.Value) map[string]any {
	object := map[string]any{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("parquet"), ",")
		switch field := v.Field(i).Interface().(type) {
		case []byte:
			object[name] = nil
			if field != nil {
				object[name] = hex.EncodeToString(field)
			}
		case []string:
			object[name] = append([]string{}, field...)
		case []Drop:
			list := []any{}
			for _, drop := range field {
				list = append(list, columns(reflect.ValueOf(drop)))
			}
			object[name] = list
		default:
			object[name] = field
		}
	}
	return object
}

// TestDuckDB holds that DuckDB reads the same values from each column of each row.
func TestDuckDB(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "dump.parquet")
			require.NoError(t, os.WriteFile(file, write(t, row.events), 0o600))
			want := []map[string]any{}
			for _, r := range row.want {
				line, err := json.Marshal(columns(reflect.ValueOf(r)))
				require.NoError(t, err)
				want = append(want, decoded(t, line))
			}
			require.Equal(t, want, query(t, file, "SELECT * REPLACE (epoch_ns(time) AS time, epoch_ns(started) AS started) FROM records"))
		})
	}
	t.Run("types", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "dump.parquet")
		require.NoError(t, os.WriteFile(file, write(t), 0o600))
		types := map[string]any{}
		for _, column := range query(t, file, "DESCRIBE records") {
			types[column["column_name"].(string)] = column["column_type"]
		}
		require.Len(t, types, reflect.TypeFor[Row]().NumField())
		for column, want := range map[string]string{
			"window": "VARCHAR", "port": "INTEGER", "time": "TIMESTAMPTZ_NS", "started": "TIMESTAMPTZ_NS", "seq": "BIGINT",
			"payload": "BLOB", "cut": "BOOLEAN", "faults": "VARCHAR[]", "downstream_dropped": "STRUCT(reason VARCHAR, bytes BIGINT)[]",
		} {
			require.Equal(t, want, types[column], column)
		}
	})
}

// TestDuckDBRowGroups reads several row groups, in which columns have more values than their dictionaries take.
func TestDuckDBRowGroups(t *testing.T) {
	const conns = groupBytes/rowBytes/3 + 1000
	require.Greater(t, conns*len("9f0c6a1be3d2a417-1"), dictionaryBytes/2)
	var events capturetest.Events
	sum := md5.New()
	for number := range uint64(conns) {
		payload := fmt.Sprintf("payload %d", number)
		events = append(events, capturetest.NewRecorder(number+1).Open(fmt.Sprintf("10.%d.%d.%d:40112", number>>16, number>>8&0xff, number&0xff), server).
			Data(capture.Downstream, payload).Events...)
		fmt.Fprintf(sum, "%X", payload)
	}
	file := filepath.Join(t.TempDir(), "dump.parquet")
	require.NoError(t, os.WriteFile(file, write(t, events), 0o600))
	number := func(n int) json.Number { return json.Number(fmt.Sprint(n)) }
	require.Equal(t, []map[string]any{{
		"records": number(3 * conns), "conns": number(conns), "sources": number(conns), "open": number(conns),
		"sum": hex.EncodeToString(sum.Sum(nil)),
	}}, query(t, file, `
		SELECT count(*) AS records, count(DISTINCT conn) AS conns, count(DISTINCT source) AS sources,
			count(*) FILTER (state = 'open') AS open, md5(string_agg(hex(payload), '' ORDER BY time, length(conn), conn)) AS sum
		FROM records`))
	require.Equal(t, []map[string]any{{"groups": number(2)}},
		query(t, file, "SELECT count(DISTINCT row_group_id) AS groups FROM parquet_metadata('"+file+"')"))
}
