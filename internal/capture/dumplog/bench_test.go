package dumplog

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/record"
)

// benchmarkLog is a log of about 16 MiB whose records have payloads of a size, from eight connections in turn.
func benchmarkLog(tb testing.TB, shape func(line string) string, payload int) []byte {
	var log bytes.Buffer
	bytes := bytes.Repeat([]byte("payload!"), payload/8)
	h := record.Header{Window: window, Port: 8080, Time: 1795397031123456789}
	for log.Len() < 16<<20 {
		h.Conn = record.ConnID{VM: 1, Number: h.Seq % 8}
		log.WriteString(shape(string(record.AppendData(nil, &h, record.Upstream, h.Seq, bytes))))
		log.WriteByte('\n')
		h.Seq++
	}
	return log.Bytes()
}

// BenchmarkScan reports the bytes of log text that are read a second.
func BenchmarkScan(b *testing.B) {
	envoy := func(l string) string { return envoyPrefix + l }
	for _, row := range []struct {
		name    string
		shape   func(line string) string
		payload int
	}{
		{"Envoy, 4 KiB lines", envoy, 1848},
		{"Envoy, 400 byte lines", envoy, 64},
		{"Envoy, no record", func(string) string { return envoyPrefix + "some text that is of no interest at all" }, 8},
		{"Istio in Docker", func(l string) string { return dockerLine("stderr", istio(l)+"\n") }, 1848},
		{"Istio in CRI", func(l string) string { return criLine("stderr", "F", istio(l)) }, 1848},
		{"UTF-16", func(l string) string { return unicode16(l+"\n", false, false) }, 1848},
		{"Gson", func(l string) string {
			return `{"message":"` + escapeAll(l, "=", func(rune) string { return `\u003d` }) + `"}`
		}, 1848},
	} {
		b.Run(row.name, func(b *testing.B) {
			log := benchmarkLog(b, row.shape, row.payload)
			b.SetBytes(int64(len(log)))
			b.ReportAllocs()
			for b.Loop() {
				var c counter
				s := NewScanner(&c)
				for block := log; len(block) > 0; {
					n := min(len(block), 256<<10)
					require.NoError(b, s.Write(block[:n]))
					block = block[n:]
				}
				require.NoError(b, s.End())
				require.NoError(b, s.Finish())
				require.Zero(b, c.faults)
				require.Positive(b, c.records+c.texts)
			}
		})
	}
}

// counter is a Handler that counts.
type counter struct{ records, texts, layotto, faults int }

func (c *counter) Record(*record.Record, []byte, capture.Place) error { c.records++; return nil }
func (c *counter) Layotto(*record.Layotto, capture.Place) error       { c.layotto++; return nil }
func (c *counter) Text([]byte, capture.Place) error                   { c.texts++; return nil }
func (c *counter) Fault(Fault)                                        { c.faults++ }
