package filter

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
	"pgregory.net/rapid"

	"l4dump/internal/abi"
	"l4dump/record"
)

// maskedRecord is a data record of which the bytes that are "*" are masked.
func maskedRecord(h record.Header, d record.Direction, offset uint64, payload string) record.Record {
	r := dataRecord(h, d, offset, payload)
	r.Masked = uint64(strings.Count(payload, "*"))
	return r
}

func maskedLedger(seen, kept, masked uint64, drops ...record.Drop) record.Ledger {
	l := ledger(seen, kept, drops...)
	l.Masked = masked
	return l
}

func TestMaskScenarios(t *testing.T) {
	const now = windowStart
	runScenarios(t, []scenario{
		{
			name:   "patterns and headers, over reads and in both directions",
			config: on(`"unit":"connections","mask":{"patterns":["secret"],"hex_patterns":["00ff"],"http_headers":true}`, ``),
			run: func(s subject) {
				c := s.connect()
				c.send(down, "GET / HTTP/1.1\r\nCookie: a")
				c.send(up, "a sec")
				c.send(down, "=b\r\n\r\n")
				c.send(up, "ret \x00\xff.")
				c.send(down, "plain")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				maskedRecord(header(1, 1, now), down, 0, "GET / HTTP/1.1\r\nCookie: *"),
				maskedRecord(header(1, 2, now), up, 0, "a ***"),
				maskedRecord(header(1, 3, now), down, 25, "**\r\n\r\n"),
				maskedRecord(header(1, 4, now), up, 5, "*** **."),
				dataRecord(header(1, 5, now), down, 31, "plain"),
				closeRecord(header(1, 6, now), "proxy", maskedLedger(36, 36, 3), maskedLedger(12, 12, 8)),
			},
			counters: map[string]uint64{
				"connections_seen": 1, "connections_kept": 1, "bytes_seen": 48, "bytes_kept": 48, "lines": 7,
			},
		},
		{
			name:   "lengths only",
			config: on(`"unit":"connections","mask":{"lengths_only":true}`, ``),
			run: func(s subject) {
				c := s.connect()
				c.send(down, "\x16\x03\x01")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				maskedRecord(header(1, 1, now), down, 0, "***"),
				closeRecord(header(1, 2, now), "proxy", maskedLedger(3, 3, 3), ledger(0, 0)),
			},
		},
		{
			name:   "a window opens in the midst of a number and of a value",
			config: on(`"directions":["downstream","upstream"],"mask":{"card_numbers":true,"http_headers":true}`, ``),
			run: func(s subject) {
				s.setNow(now - 1)
				c := s.connect()
				c.send(down, "n 4111 1111")
				c.send(up, "Set-Cookie: a")
				s.setNow(now)
				c.send(down, "1111 1111\n4111")
				c.send(up, "b\r\nX: c")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "bytes", now-1, ""),
				maskedRecord(header(1, 1, now), down, 11, "*********\n****"),
				maskedRecord(header(1, 2, now), up, 13, "*\r\nX: c"),
				closeRecord(header(1, 3, now), "proxy",
					maskedLedger(25, 14, 13, dropped("window_closed", 11)), maskedLedger(20, 7, 1, dropped("window_closed", 13))),
			},
		},
		{
			name:   "what waited for the selection",
			config: on(`"unit":"connections","match":{"first_bytes":["736563726574"]},"mask":{"patterns":["secret"]}`, ``),
			run: func(s subject) {
				c := s.connect()
				c.send(up, "secret?")
				c.send(down, "sec")
				c.send(down, "rets")
				c.close(types.PeerTypeLocal)
			},
			want: []record.Record{
				anonymous(header(1, 0, now), "connections", now, ""),
				maskedRecord(header(1, 1, now), up, 0, "******?"),
				maskedRecord(header(1, 2, now), down, 0, "***"),
				maskedRecord(header(1, 3, now), down, 3, "****"),
				closeRecord(header(1, 4, now), "proxy", maskedLedger(7, 7, 7), maskedLedger(7, 7, 6)),
			},
		},
	})
}

// TestMaskLongReads has a read of several records and blocks, with a pattern over each border.
func TestMaskLongReads(t *testing.T) {
	const size = 3*blockBytes + 1
	data := []byte(strings.Repeat("x", size))
	for at := 0; at+6 < size; at += 997 { // a prime number: sooner or later one is over each border
		copy(data[at:], "secret")
	}
	want := bytes.ReplaceAll(data, []byte("secret"), []byte("******"))
	for _, each := range subjects {
		t.Run(each.name, func(t *testing.T) {
			s := each.start(t, on(`"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0,"mask":{"patterns":["secret"]}`, ``))
			c := s.connect()
			c.send(down, string(data))
			c.close(types.PeerTypeLocal)
			var got []byte
			masked := uint64(0)
			records := recordsOf(t, s)
			for _, r := range records {
				require.Equal(t, uint64(bytes.Count(r.Payload, []byte("*"))), r.Masked)
				got, masked = append(got, r.Payload...), masked+r.Masked
			}
			require.Equal(t, string(want), string(got))
			require.Equal(t, maskedLedger(size, size, masked), records[len(records)-1].Close.Downstream)
		})
	}
}

// TestMaskLayotto has the format that has no place to say that bytes are masked.
func TestMaskLayotto(t *testing.T) {
	const prefix = "[01935651-7800-801e-ac34-64756d700000][8080]"
	for _, each := range subjects {
		t.Run(each.name, func(t *testing.T) {
			s := each.start(t, on(`"mask":{"patterns":["b"]}`, `"format":"layotto"`))
			s.connect().send(down, "abc")
			require.Equal(t, []string{prefix + "61 2a 63"}, recordLines(s))
		})
	}
}

// TestMaskedTrafficIsNotChanged has the bytes that the proxy passes on.
func TestMaskedTrafficIsNotChanged(t *testing.T) {
	s := startModule(t, on(`"unit":"connections","mask":{"lengths_only":true}`, ``))
	c := s.connect().(moduleFlow)
	data := []byte("secret")
	c.stream.DownstreamData(data, false)
	require.Equal(t, "secret", string(data))
	c.close(types.PeerTypeLocal)
	require.Equal(t, "******", string(recordsOf(t, s)[1].Payload))
}

// TestNoMaskedByteIsRecorded has random streams in random reads, in both formats and units, with windows that close and a
// budget that is spent: of what must not be seen nothing stands in a line.
func TestNoMaskedByteIsRecorded(t *testing.T) {
	secrets := []string{"secret", "4111111111111111;", "5500 0000 0000 0004;"} // longer runs of digits are no numbers
	rapid.Check(t, func(rt *rapid.T) {
		unit := rapid.SampledFrom([]string{"bytes", "connections"}).Draw(rt, "unit")
		format := rapid.SampledFrom([]string{"l4dump", "layotto"}).Draw(rt, "format")
		rate := rapid.SampledFrom([]string{"0", "1024"}).Draw(rt, "bytes per second")
		first := rapid.SampledFrom([]string{"", `"except":{"first_bytes":["ffff"]},`}).Draw(rt, "selection")
		r := newRig(t, on(`"unit":"`+unit+`","directions":["downstream","upstream"],"max_bytes_per_second":`+rate+`,`+first+
			`"mask":{"patterns":["secret"],"http_headers":true,"card_numbers":true}`, `"format":"`+format+`"`))
		defer func() { // the next run's rig needs the emulator
			r.reset()
			r.reset = func() {}
		}()
		var lines []string
		r.vm.newest["recorder\x00root"].sink.(*logSink).write = func(_ abi.Level, line []byte) {
			lines = append(lines, strings.Split(string(line), "\n")...)
		}

		// Secrets have bytes that nothing else has: digits, letters of "secret", and upper-case ones in values of headers.
		streams := [2]string{}
		for d := range streams {
			for range rapid.IntRange(0, 12).Draw(rt, "pieces") {
				streams[d] += rapid.OneOf(
					rapid.SampledFrom(secrets),
					rapid.SampledFrom([]string{"\r\nCookie: QQ\r\n", "\r\nAuthorization: ZQ\r\n Q\r\n", "\n", "ghij", strings.Repeat("g", 3000)}),
				).Draw(rt, "piece")
			}
		}
		id := r.connect()
		for streams[0] != "" || streams[1] != "" {
			d := rapid.IntRange(0, 1).Draw(rt, "direction")
			n := min(rapid.SampledFrom([]int{1, 2, 5, 20, 4000}).Draw(rt, "read"), len(streams[d]))
			if n == 0 {
				continue
			}
			r.now += rapid.SampledFrom([]int64{0, 0, second, 11 * second}).Draw(rt, "time")
			if read := streams[d][:n]; d == 0 {
				r.downstream(id, read)
			} else {
				r.upstream(id, read)
			}
			streams[d] = streams[d][n:]
		}
		r.done(id)
		for _, line := range lines {
			payload := []byte{}
			if rec, _, err := record.Parse([]byte(line), nil); err == nil && rec.Kind == record.KindData {
				payload = rec.Payload
			} else if l, start, _ := record.ParseLayotto([]byte(line), nil); start >= 0 {
				payload = l.Payload
			}
			require.NotRegexp(rt, `[0-9QZ]`, string(payload), "a number or a value")
			require.NotContains(rt, string(payload), "secret")
			require.NotRegexp(rt, `(^|[^ ])(se|sec|secr|secre|ecret|cret|ret)$|^(ecret|cret|ret|et)`, string(payload), "a part of a pattern")
		}
	})
}

// TestMaskedReadAllocatesNothing counts the bytes that are masked too, so that doing nothing fails.
func TestMaskedReadAllocatesNothing(t *testing.T) {
	r := newRig(t, on(`"unit":"connections","max_bytes_per_second":0,"max_lines_per_second":0,`+
		`"mask":{"patterns":["secret"],"http_headers":true,"card_numbers":true}`, ``))
	masked := 0
	r.vm.newest["recorder\x00root"].sink.(*logSink).write = func(_ abi.Level, line []byte) {
		masked += bytes.Count(line, []byte("2a2a2a2a2a2a"))
	}
	c := r.streams[r.connect()].(*connection)
	text := strings.Repeat("a secret b 4111111111111111\r\nCookie: abcdef\r\n", 200) + "sec"
	buffer := make([]byte, len(text))
	data := func(start, size int) ([]byte, error) {
		copy(buffer, text)
		return buffer[start:][:size], nil
	}
	c.read(record.Downstream, data, len(text), false)
	require.Positive(t, masked)
	require.Zero(t, testing.AllocsPerRun(100, func() { c.read(record.Downstream, data, len(text), false) }))
}
