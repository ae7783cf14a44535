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
			fmt.Fprintf(&log, "[info][wasm] wasm log guest: hex=%d slow\n", roundBytes*100)
			fmt.Fprintf(&log, "[info][wasm] wasm log guest: hex=%d fast one\n", roundBytes*(10-i))
		}
		table := report.New("", []report.Metric{{Name: "MB/s", Ratio: true}}, "slow", "fast one")
		require.NoError(t, read(table, []string{"slow", "fast one"}, []byte("another line\n"+log.String())))
		var out strings.Builder
		require.NoError(t, report.Write(&out, true, table))
		require.JSONEq(t, `[{"title":"","rows":[
			{"name":"slow","figures":[{"metric":"MB/s","median":10,"ratio":1,"runs":[10]}]},
			{"name":"fast one","figures":[{"metric":"MB/s","median":1000,"ratio":100,"runs":[1000]}]}]}]`,
			out.String())
	})
	for _, row := range []struct{ name, log, want string }{
		{"empty", "", `the guest has logged no round of "form": `},
		{"another form", "hex=1 other", `the guest has logged no round of "form": hex=1 other`},
		{"no number", "hex=x form", `read the guest's line "hex=x form": want nanoseconds`},
		{"a clock that stands", "hex=0 form", `read the guest's line "hex=0 form": want nanoseconds`},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.EqualError(t, read(report.New("", nil), []string{"form"}, []byte(row.log)), row.want)
		})
	}
}
