package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/bench/internal/report"
)

func TestRead(t *testing.T) {
	t.Run("the rate that a tenth of the rounds reach", func(t *testing.T) {
		var log strings.Builder
		for i := range 10 {
			fmt.Fprintf(&log, "[info][wasm] wasm log guest: hex: append=%d encode=%d\n", roundBytes*(10-i), roundBytes*100)
		}
		table := report.New("", []report.Metric{{Name: "MB/s", Ratio: true}}, encode, record)
		require.NoError(t, read(table, []byte("another line\n"+log.String())))
		var out strings.Builder
		require.NoError(t, report.Write(&out, true, table))
		require.JSONEq(t, `[{"title":"","rows":[
			{"name":"encoding/hex","figures":[{"metric":"MB/s","median":10,"ratio":1,"runs":[10]}]},
			{"name":"l4dump's data record","figures":[{"metric":"MB/s","median":1000,"ratio":100,"runs":[1000]}]}]}]`,
			out.String())
	})
	for _, row := range []struct{ name, log, want string }{
		{"empty", "", "the guest has logged no round: "},
		{"cut", "hex: append=1", `read the guest's line "hex: append=1": no encode=`},
		{"no number", "hex: append=1 encode=x", `read the guest's line "hex: append=1 encode=x": want nanoseconds`},
		{"a clock that stands", "hex: append=0 encode=1", `read the guest's line "hex: append=0 encode=1": want nanoseconds`},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.EqualError(t, read(report.New("", nil), []byte(row.log)), row.want)
		})
	}
}
