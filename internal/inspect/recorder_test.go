package inspect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"l4dump/record"
	"l4dump/strategy"
)

// startTime is 2026-11-23T01:24:00Z, which is the begin of a window.
const startTime = 1795397040000000000

const second = 1_000_000_000

// recorder writes the records of one connection as the plugin does.
type recorder struct {
	header  record.Header
	open    record.Open
	offsets [2]uint64
	lines   []string
	drops   [2][]record.Drop
}

// newRecorder returns one of a connection with a number that begins at a time in nanoseconds, whose window begins each
// minute.
func newRecorder(number uint64, port uint16, at int64) *recorder {
	start := at / second / 60 * 60
	return &recorder{
		header: record.Header{
			Window: strategy.Window{Start: start, Interval: 60}.UUID(), Port: port, Time: at,
			Conn: record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: number},
		},
		open: record.Open{
			Unit: "connections", Started: at, Source: fmt.Sprintf("10.0.0.%d:40112", number%250), Destination: fmt.Sprintf("10.0.9.9:%d", port),
		},
	}
}

func (r *recorder) add(line []byte, after int64) {
	r.lines = append(r.lines, string(line)+"\n")
	r.header.Seq++
	r.header.Time += after
}

// begin writes the open record.
func (r *recorder) begin() *recorder {
	r.add(record.AppendOpen(nil, &r.header, &r.open), 1_000_000)
	return r
}

// data writes payload in records of at most 2000 bytes.
func (r *recorder) data(d record.Direction, payload string) *recorder {
	for len(payload) > 0 {
		n := min(len(payload), 2000)
		r.add(record.AppendData(nil, &r.header, d, r.offsets[d], []byte(payload[:n])), 1_000_000)
		r.offsets[d] += uint64(n)
		payload = payload[n:]
	}
	return r
}

// drop has bytes pass that are not recorded.
func (r *recorder) drop(d record.Direction, reason string, bytes uint64) *recorder {
	r.drops[d] = append(r.drops[d], record.Drop{Reason: reason, Bytes: bytes})
	return r
}

// wait lets time pass.
func (r *recorder) wait(ns int64) *recorder {
	r.header.Time += ns
	return r
}

// close writes the close record.
func (r *recorder) close(by string) *recorder {
	var ledgers [2]record.Ledger
	for d := range ledgers {
		ledgers[d] = record.Ledger{Seen: r.offsets[d], Kept: r.offsets[d], Dropped: r.drops[d]}
		for _, drop := range r.drops[d] {
			ledgers[d].Seen += drop.Bytes
		}
	}
	r.add(record.AppendClose(nil, &r.header, &record.Close{By: by, Downstream: ledgers[0], Upstream: ledgers[1]}), 0)
	return r
}

// lose takes a line out, as a log does.
func (r *recorder) lose(line int) *recorder {
	r.lines = append(r.lines[:line:line], r.lines[line+1:]...)
	return r
}

func (r *recorder) text() string { return strings.Join(r.lines, "") }

const down, up = record.Downstream, record.Upstream

// mixed is a recording of many connections of different kinds, some of them not whole.
func mixed(connections int) string {
	var log strings.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for i := range connections {
		at := startTime + int64(i%5)*60*second + random.Int64N(4_900_000_000)
		number := uint64(i)*4 + 1
		var r *recorder
		switch i % 10 {
		case 0:
			r = newRecorder(number, 6379, at).begin()
			for range 1 + random.IntN(6) {
				r.data(down, "*2\r\n$3\r\nGET\r\n$7\r\nuser:42\r\n").data(up, "$12\r\n{\"name\":\"a\"}\r\n")
			}
		case 1:
			r = newRecorder(number, 5432, at)
			r.open.Peer, r.open.MTLS = "spiffe://cluster.local/ns/shop/sa/orders", true
			r.begin().data(down, "\x00\x00\x00\x29\x00\x03\x00\x00user\x00app\x00database\x00shop\x00\x00").data(up, "R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I").
				data(down, "Q\x00\x00\x00\x19select * from orders;\x00").data(up, strings.Repeat("D\x00\x00\x00\x14row of data ", 20+random.IntN(300)))
		case 2:
			r = newRecorder(number, 3306, at).begin().
				data(up, "\x4a\x00\x00\x00\x0a8.0.36\x00\x0b\x00\x00\x00abcdefgh\x00\xff\xff\xff\x02\x00\xff\xdf\x15").
				data(down, "\x20\x00\x00\x01\x85\xae\xff\x19\x00\x00\x00\x01\xff"+strings.Repeat("\x00", 23))
		case 3:
			r = newRecorder(number, 9999, at).begin().data(down, "hello, this is nothing known\n").data(up, "\x00\x1b[31mred\x9b0m\n")
		default:
			r = newRecorder(number, 8080, at)
			r.open.Peer, r.open.MTLS = fmt.Sprintf("spiffe://cluster.local/ns/shop/sa/web-%d", i%3), true
			r.begin()
			for j := range 1 + random.IntN(4) {
				r.data(down, fmt.Sprintf("GET /orders/%d?page=%d HTTP/1.1\r\nHost: shop.example\r\naccept: */*\r\n\r\n", i, j)).wait(random.Int64N(30_000_000))
				body := strings.Repeat(fmt.Sprintf("{\"id\":%d,\"state\":\"paid\"},", i), 1+random.IntN(200))
				r.data(up, fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", len(body), body)).wait(random.Int64N(300_000_000))
			}
		}
		switch {
		case i%17 == 5:
			r.drop(up, "budget", 123_456).close("upstream")
		case i%29 == 7 && len(r.lines) > 2:
			r.close("downstream").lose(2)
		case i%41 == 3:
			r.close("proxy").lose(0)
		case i%53 == 9:
		default:
			r.close("downstream")
		}
		log.WriteString(r.text())
	}
	return log.String()
}
