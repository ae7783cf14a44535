package record

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

var (
	window  = UUID{0x01, 0x93, 0x56, 0x51, 0x78, 0x00, 0x80, 0x1e, 0xac, 0x34, 0x64, 0x75, 0x6d, 0x70, 0x00, 0}
	header  = Header{Window: window, Port: 8080, Conn: ConnID{VM: 0x9f0c6a1be3d2a417, Number: 0x2a}, Seq: 7, Time: 1732320000123456789}
	highest = Header{
		Window: window, Port: math.MaxUint16, Conn: ConnID{VM: math.MaxUint64, Number: math.MaxUint64},
		Seq: math.MaxUint64, Time: math.MinInt64,
	}
)

const prefix = "[01935651-7800-801e-ac34-64756d700000][8080]"

// rows are the format, drawn: what the plugin writes and the reader reads.
var rows = []struct {
	name   string
	record Record
	text   string
}{
	{
		name: "open with all fields",
		record: Record{Kind: KindOpen, Header: header, Open: &Open{
			Unit: "connections", Started: 1732320000123456000, ProxyConn: 12, HasProxyConn: true, Source: "10.0.0.7:40112",
			Destination: "[::1]:8080", SNI: "db.example\n[x] L4D1 data", Peer: "spiffe://cluster.local/ns/demo", MTLS: true,
			Next: "http_connection_manager",
		}},
		text: prefix + " L4D1 open conn=9f0c6a1be3d2a417-2a seq=7 time=1732320000123456789 unit=connections" +
			" started=1732320000123456000 proxy_conn=12 source=10.0.0.7:40112 destination=%5b::1%5d:8080" +
			" sni=db.example%0a%5bx%5d%20L4D1%20data peer=spiffe://cluster.local/ns/demo mtls=true" +
			" next=http_connection_manager sum=79173ac2",
	},
	{
		name:   "open with what is always there",
		record: Record{Kind: KindOpen, Header: header, Open: &Open{Unit: "bytes", Started: -1}},
		text: prefix + " L4D1 open conn=9f0c6a1be3d2a417-2a seq=7 time=1732320000123456789 unit=bytes started=-1" +
			" sum=afaa08c8",
	},
	{
		name:   "data",
		record: Record{Kind: KindData, Header: header, Direction: Upstream, Offset: 4096, Payload: []byte("hello\x00\xff")},
		text: prefix + " L4D1 data conn=9f0c6a1be3d2a417-2a seq=7 direction=upstream offset=4096" +
			" time=1732320000123456789 length=7 data=68656c6c6f00ff sum=2e397346",
	},
	{
		name:   "data of no bytes at the highest values",
		record: Record{Kind: KindData, Header: highest, Offset: math.MaxUint64, Payload: []byte{}},
		text: "[01935651-7800-801e-ac34-64756d700000][65535] L4D1 data conn=ffffffffffffffff-ffffffffffffffff" +
			" seq=18446744073709551615 direction=downstream offset=18446744073709551615" +
			" time=-9223372036854775808 length=0 data= sum=69ae2674",
	},
	{
		name: "data of which bytes are masked",
		record: Record{
			Kind: KindData, Header: header, Direction: Upstream, Offset: 4096, Payload: []byte("a**b"), Masked: 2,
		},
		text: prefix + " L4D1 data conn=9f0c6a1be3d2a417-2a seq=7 direction=upstream offset=4096" +
			" time=1732320000123456789 length=4 masked=2 data=612a2a62 sum=56201ec3",
	},
	{
		name: "close with masked bytes",
		record: Record{Kind: KindClose, Header: header, Close: &Close{
			By:         "upstream",
			Downstream: Ledger{Seen: 120, Kept: 100, Masked: 100, Dropped: []Drop{{"budget", 20}}},
			Upstream:   Ledger{Seen: 5, Kept: 5, Masked: 1},
		}},
		text: prefix + " L4D1 close conn=9f0c6a1be3d2a417-2a seq=7 time=1732320000123456789 by=upstream" +
			" downstream=seen:120,kept:100,masked:100,budget:20 upstream=seen:5,kept:5,masked:1 sum=ce2fb574",
	},
	{
		name:   "end",
		record: Record{Kind: KindEnd, Header: header, Offset: 120},
		text: prefix + " L4D1 end conn=9f0c6a1be3d2a417-2a seq=7 direction=downstream offset=120" +
			" time=1732320000123456789 sum=8af0ebe1",
	},
	{
		name: "close",
		record: Record{Kind: KindClose, Header: header, Close: &Close{
			By:         "upstream",
			Downstream: Ledger{Seen: 120, Kept: 100, Dropped: []Drop{{"budget", 15}, {"window_closed", 5}}},
			Upstream:   Ledger{},
		}},
		text: prefix + " L4D1 close conn=9f0c6a1be3d2a417-2a seq=7 time=1732320000123456789 by=upstream" +
			" downstream=seen:120,kept:100,budget:15,window_closed:5 upstream=seen:0,kept:0 sum=c5672caf",
	},
	{
		name: "open with the proxy's connection 0 and the next filter",
		record: Record{Kind: KindOpen, Header: header, Open: &Open{
			Unit: "bytes", Started: 5, HasProxyConn: true, Next: "tcp_proxy",
		}},
		text: prefix + " L4D1 open conn=9f0c6a1be3d2a417-2a seq=7 time=1732320000123456789 unit=bytes started=5" +
			" proxy_conn=0 next=tcp_proxy sum=71c99f94",
	},
}

func appendRecord(dst []byte, r *Record) []byte {
	switch r.Kind {
	case KindOpen:
		return AppendOpen(dst, &r.Header, r.Open)
	case KindData:
		return AppendMasked(dst, &r.Header, r.Direction, r.Offset, r.Payload, int(r.Masked))
	case KindEnd:
		return AppendEnd(dst, &r.Header, r.Direction, r.Offset)
	default:
		return AppendClose(dst, &r.Header, r.Close)
	}
}

func TestFormat(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.text, string(appendRecord(nil, &row.record)))

			require.Equal(t, "before"+row.text, string(appendRecord([]byte("before"), &row.record)))

			read, n, err := Parse([]byte(row.text+"\tthread=12"), []byte{})
			require.NoError(t, err)
			require.Equal(t, len(row.text), n)
			require.Equal(t, row.record, read)
		})
	}
}

// TestDamage cuts and changes each row at every place: none passes.
func TestDamage(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for i := range len(row.text) {
				_, _, err := Parse([]byte(row.text[:i]), nil)
				require.ErrorIs(t, err, ErrCut, "cut to %d bytes", i)

				changed := []byte(row.text)
				changed[i] ^= 1
				_, _, err = Parse(changed, nil)
				require.Error(t, err, "byte %d changed: %s", i, changed)
			}
		})
	}
}

func TestParseFaults(t *testing.T) {
	data := func(change, to string) string {
		return strings.Replace(rows[2].text, change, to, 1)
	}
	for _, row := range []struct {
		name string
		text string
		want error
	}{
		{"empty", "", ErrCut},
		{"port over 65535", data("[8080]", "[65536]"), ErrMalformed},
		{"port with a leading zero", data("[8080]", "[08080]"), ErrMalformed},
		{"another version", data("L4D1", "L4D2"), ErrMalformed},
		{"unknown kind", data(" data ", " datum "), ErrMalformed},
		{"connection with a leading zero", data("-2a", "-02a"), ErrMalformed},
		{"upper-case digits", data("6f00ff", "6F00FF"), ErrMalformed},
		{"length one less", data("length=7", "length=6"), ErrMalformed},
		{"length one more", data("length=7", "length=8"), ErrMalformed},
		{"masked, none", data("length=7", "length=7 masked=0"), ErrMalformed},
		{"masked, all", data("length=7", "length=7 masked=7"), ErrSum},
		{"masked, one more than there are", data("length=7", "length=7 masked=8"), ErrMalformed},
		{"length beyond the line", data("length=7", "length=100"), ErrMalformed},
		{"length beyond everything", data("length=7", "length=18446744073709551616"), ErrMalformed},
		{"sequence number of another line", data("seq=7", "seq=8"), ErrSum},
		{"payload of another line", data("68656c", "68656d"), ErrSum},
		{"checksum changed to another character", data("sum=2e397346", "sum=2e39_346"), ErrMalformed},
		{"field missing before the checksum", data(" data=68656c6c6f00ff", ""), ErrMalformed},
		{"window changed", data("[01935651", "[0193565x"), ErrMalformed},
		{"cut before another record", rows[2].text[:120] + rows[2].text, ErrCut},
		{"cut after the mark before another record", rows[2].text[:50] + rows[2].text, ErrCut},
		{"checksum at the longest record's end", endingAt(maxRecordBytes), ErrMalformed},
		{"checksum after the longest record's end", endingAt(maxRecordBytes + 1), ErrCut},
		{"key in another order", data("direction=upstream offset=4096", "offset=4096 direction=upstream"), ErrMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			record, _, err := Parse([]byte(row.text), nil)
			require.ErrorIs(t, err, row.want)
			require.Equal(t, Record{}, record)
		})
	}
}

// endingAt returns a malformed record whose " sum=" ends n bytes after its kind.
func endingAt(n int) string {
	head := prefix + " L4D1 "
	return head + strings.Repeat("x", n-len(sumKey)) + sumKey
}

func TestParseUUID(t *testing.T) {
	const text = "01935651-7800-801e-ac34-64756d700000"
	for _, row := range []struct {
		name string
		text string
		ok   bool
	}{
		{"canonical", text, true},
		{"zero", UUID{}.String(), true},
		{"empty", "", false},
		{"one digit less", text[:35], false},
		{"one digit more", text + "0", false},
		{"upper case", strings.ToUpper(text), false},
		{"without hyphens", strings.ReplaceAll(text, "-", ""), false},
		{"another character for a hyphen", strings.Replace(text, "-", "0", 1), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := ParseUUID(row.text)
			require.Equal(t, row.ok, ok)
			if ok {
				require.Equal(t, row.text, got.String())
			}
		})
	}
}

func TestParseConnID(t *testing.T) {
	for _, row := range []struct {
		name string
		text string
		want ConnID
		ok   bool
	}{
		{"canonical", "9f0c6a1be3d2a417-2a", ConnID{VM: 0x9f0c6a1be3d2a417, Number: 0x2a}, true},
		{"lowest", "0000000000000000-0", ConnID{}, true},
		{"highest", highest.Conn.String(), highest.Conn, true},
		{"number of 17 digits", "9f0c6a1be3d2a417-10000000000000000", ConnID{}, false},
		{"empty", "", ConnID{}, false},
		{"no number", "9f0c6a1be3d2a417-", ConnID{}, false},
		{"no hyphen", "9f0c6a1be3d2a417", ConnID{}, false},
		{"VM of 15 digits", "f0c6a1be3d2a417-2a", ConnID{}, false},
		{"VM of 17 digits", "09f0c6a1be3d2a417-2a", ConnID{}, false},
		{"number with a leading zero", "9f0c6a1be3d2a417-02a", ConnID{}, false},
		{"upper case", "9f0c6a1be3d2a417-2A", ConnID{}, false},
		{"something after it", "9f0c6a1be3d2a417-2a ", ConnID{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := ParseConnID(row.text)
			require.Equal(t, row.ok, ok)
			if ok {
				require.Equal(t, row.want, got)
			}
		})
	}
}

func TestFind(t *testing.T) {
	data := rows[2].text
	for _, row := range []struct {
		name    string
		line    string
		start   int
		damaged bool
	}{
		{"alone", data, 0, false},
		{"no record", "[2026-11-23 01:23:51.887][1][info][wasm] started", -1, false},
		{"after a proxy's prefix", "[2026-11-23 01:23:51.887][25111][info][wasm] wasm log: " + data, 55, false},
		{"in JSON", `{"msg":"` + data + `"}`, 8, false},
		{"window cut", data[10:], 33, true},
		{"port missing", strings.Replace(data, "[8080]", "[]", 1), 39, true},
		{"port too long", strings.Replace(data, "8080", "808080", 1), 45, true},
		{"mark alone", "] L4D1 ", 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			start, damaged := Find([]byte(row.line), 0)
			require.Equal(t, row.start, start)
			require.Equal(t, row.damaged, damaged)
		})
	}

	t.Run("two on one line", func(t *testing.T) {
		line := []byte(data + "xx" + data)
		next := AfterMark(line, 0)
		require.Equal(t, strings.Index(data, "data "), next)

		start, damaged := Find(line, next)
		require.Equal(t, len(data)+2, start)
		require.False(t, damaged)
	})
}

func TestTextIsCut(t *testing.T) {
	const room = 384
	for _, row := range []struct {
		name, text, want string
	}{
		{"plain at the limit", strings.Repeat("a", room), strings.Repeat("a", room)},
		{"plain over it by 1", strings.Repeat("a", room+1), strings.Repeat("a", room)},
		{"escaped at the limit", strings.Repeat("\n", room/3), strings.Repeat("%0a", room/3)},
		{"escaped over it by 1", strings.Repeat("\n", room/3+1), strings.Repeat("%0a", room/3)},
		{"escape that does not fit whole", strings.Repeat("a", room-2) + "\n", strings.Repeat("a", room-2)},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, " sni="+row.want, string(appendText(nil, " sni=", row.text, room)))
		})
	}
}

func TestOverhead(t *testing.T) {
	payload := bytes.Repeat([]byte{0xa5}, 1e6)
	line := AppendMasked(nil, &highest, Downstream, math.MaxUint64, payload, len(payload))
	require.Equal(t, MaxDataOverhead-2*len("18446744073709551615")+2*len("1000000"), len(line)-2*len(payload))

	text := strings.Repeat("\n", 1000)
	open := AppendOpen(nil, &highest, &Open{
		Unit: "connections", Started: math.MinInt64, ProxyConn: math.MaxUint64, HasProxyConn: true,
		Source: text, Destination: text, SNI: text, Peer: text, MTLS: true, Next: text,
	})
	require.LessOrEqual(t, len(open), MaxOpenBytes)

	line = AppendLayotto(nil, window, math.MaxUint16, []byte{1, 2})
	require.Equal(t, LayottoOverhead+3*2-1, len(line))
}

func TestAppendLayotto(t *testing.T) {
	for _, payload := range [][]byte{nil, {0}, {0x00, 0x7f, 0xff}} {
		want := fmt.Sprintf("[%s][%s]% x", window, "8080", payload)
		require.Equal(t, want, string(AppendLayotto(nil, window, 8080, payload)))
	}
}

func TestParseLayotto(t *testing.T) {
	id := func(version, variant string) string {
		return "01935651-7800-" + version + "01e-" + variant + "c34-64756d700000"
	}
	v8 := id("8", "a")
	for _, row := range []struct {
		name    string
		line    string
		start   int
		payload string
		port    uint16
	}{
		{"one byte", "[" + v8 + "][80]0a", 0, "\n", 80},
		{"several", "[" + v8 + "][8080]68 65 6c", 0, "hel", 8080},
		{"after text", "x][: [" + v8 + "][80]68", 5, "h", 80},
		{"after text that resembles it", "[" + v8 + "][80] [" + v8 + "][80]68", 43, "h", 80},
		{"before a tab", "[" + v8 + "][80]68 65\tthread=1", 0, "he", 80},
		{"before a quote", "[" + v8 + `][80]68 65","thread":"1"`, 0, "he", 80},
		{"before an escaped character", "[" + v8 + `][80]68 65\tthread=1`, 0, "he", 80},
		{"before two spaces", "[" + v8 + "][80]68 65  x", 0, "he", 80},
		{"before a carriage return at the end", "[" + v8 + "][80]68 65\r", 0, "he", 80},
		{"before a carriage return within", "[" + v8 + "][80]68 65\rx", -1, "", 0},
		{"before another line", "[" + v8 + "][80]68 65 [2026-11-23", 0, "he", 80},
		{"before a line break", "[" + v8 + "][80]68 65\nx", 0, "he", 80},
		{"before one space", "[" + v8 + "][80]68 65 ", -1, "", 0},
		{"before a word", "[" + v8 + "][80]68 65 x", -1, "", 0},
		{"before a comma", "[" + v8 + "][80]68 65, x", -1, "", 0},
		{"no bytes", "[" + v8 + "][80]", -1, "", 0},
		{"no bytes before a tab", "[" + v8 + "][80]\tthread=1", -1, "", 0},
		{"text for bytes", "[" + v8 + "][8080] upstream reset", -1, "", 0},
		{"text that begins as bytes", "[" + v8 + "][8080]bad gateway", -1, "", 0},
		{"digits without a space", "[" + v8 + "][80]6865", -1, "", 0},
		{"upper-case digits", "[" + v8 + "][80]6C", -1, "", 0},
		{"half a byte", "[" + v8 + "][80]68 6", -1, "", 0},
		{"port at 65535", "[" + v8 + "][65535]68", 0, "h", 65535},
		{"port over 65535", "[" + v8 + "][65536]68", -1, "", 0},
		{"no port", "[" + v8 + "][]68", -1, "", 0},
		{"port cut", "[" + v8 + "][80", -1, "", 0},
		{"window of version 1", "[" + id("1", "8") + "][80]68", 0, "h", 80},
		{"window of version 4", "[" + id("4", "b") + "][80]68", 0, "h", 80},
		{"window of version 7", "[" + id("7", "a") + "][80]68", -1, "", 0},
		{"window of variant 7", "[" + id("8", "7") + "][80]68", -1, "", 0},
		{"window of variant c", "[" + id("8", "c") + "][80]68", -1, "", 0},
		{"upper-case window", "[" + strings.ToUpper(v8) + "][80]68", -1, "", 0},
		{"window without hyphens", "[" + strings.ReplaceAll(v8, "-", "0") + "][80]68", -1, "", 0},
		{"window cut", v8 + "][80]68", -1, "", 0},
		{"nothing", "", -1, "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, start, end := ParseLayotto([]byte(row.line), nil)
			require.Equal(t, row.start, start)
			if start >= 0 {
				require.Equal(t, string(AppendLayotto(nil, got.Window, got.Port, got.Payload)), row.line[start:end])
			}
			if start < 0 {
				require.Equal(t, Layotto{}, got)
				return
			}
			window, ok := ParseUUID(row.line[start+1 : start+37])
			require.True(t, ok)
			require.Equal(t, Layotto{Window: window, Port: row.port, Payload: []byte(row.payload)}, got)
		})
	}
	t.Run("what AppendLayotto writes", func(t *testing.T) {
		payload := make([]byte, 256)
		for i := range payload {
			payload[i] = byte(i)
		}
		line := AppendLayotto([]byte("log: "), window, 8080, payload)
		got, start, _ := ParseLayotto(line, make([]byte, 3, 10))
		require.Equal(t, 5, start)
		require.Equal(t, Layotto{Window: window, Port: 8080, Payload: payload}, got)
	})
}

func TestHex(t *testing.T) {
	all := make([]byte, 256+7)
	for i := range all {
		all[i] = byte(i)
	}
	for start := range 9 {
		for length := range len(all) - start {
			payload := all[start : start+length]
			want := hex.EncodeToString(payload)
			require.Equal(t, "<"+want, string(appendHex([]byte("<"), payload)))

			got, ok := appendUnhex([]byte("<"), []byte(want))
			require.True(t, ok)
			require.Equal(t, "<"+string(payload), string(got))
		}
	}
	t.Run("writes nothing beyond its digits", func(t *testing.T) {
		for _, n := range []int{0, 1, HexTurn - 1, HexTurn, HexTurn + 1} {
			dst := bytes.Repeat([]byte{'#'}, 3*HexTurn)
			require.Equal(t, hex.EncodeToString(all[:n]), string(appendHex(dst[:0], all[:n])))
			require.Equal(t, strings.Repeat("#", 3*HexTurn-2*n), string(dst[2*n:]))
		}
	})
}

func TestHexRefusesOtherCharacters(t *testing.T) {
	const digits = "0123456789abcdef"
	text := []byte(strings.Repeat("0", 20)) // a turn of the loop and a rest
	for place := range text {
		for c := range 256 {
			text[place] = byte(c)
			_, ok := appendUnhex(nil, text)
			require.Equal(t, strings.IndexByte(digits, byte(c)) >= 0, ok, "byte %#x at %d", c, place)
		}
		text[place] = '0'
	}
	_, ok := appendUnhex(nil, []byte("000"))
	require.False(t, ok)
}

func TestPrintable(t *testing.T) {
	require.Equal(t, "a[0]: ~%0a%7f%c3%a9%5d L4D1 data %5d ]", Printable("a[0]: ~\n\x7fé] L4D1 data ] ]"))
}

func TestDigest(t *testing.T) {
	require.Equal(t, "51d8e999", Digest(nil)) // XXH64 of nothing is ef46db3751d8e999
	require.NotEqual(t, Digest([]byte("a")), Digest([]byte("b")))
}

func TestXXH64(t *testing.T) {
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(i * 7)
	}
	for length := range len(b) + 1 {
		for _, seed := range []uint64{0, 1, math.MaxUint64} {
			oracle := xxhash.NewWithSeed(seed)
			_, _ = oracle.Write(b[:length])
			require.Equal(t, oracle.Sum64(), xxh64(b[:length], seed), "%d bytes, seed %d", length, seed)
		}
	}
}

// TestAllocations holds what runs for each read to no allocation, and counts its bytes, so that doing nothing fails.
func TestAllocations(t *testing.T) {
	payload := bytes.Repeat([]byte("payload!"), 200)
	buf := make([]byte, 0, 8192)
	scratch := make([]byte, 0, 4096)
	written := 0
	var line []byte
	require.Zero(t, testing.AllocsPerRun(100, func() {
		line = AppendData(buf, &header, Downstream, 1, payload)
		end := AppendEnd(line, &header, Downstream, 1)
		layotto := AppendLayotto(end, window, 80, payload[:16])
		written += len(layotto)
	}))
	require.Greater(t, written, 101*2*len(payload))

	read := 0
	require.Zero(t, testing.AllocsPerRun(100, func() {
		record, _, err := Parse(line, scratch)
		if err != nil {
			t.Fatal(err)
		}
		read += len(record.Payload)
	}))
	require.Equal(t, 101*len(payload), read)
}

// TestIsCut cuts each record at every byte, and changes the byte before the cut.
func TestIsCut(t *testing.T) {
	for _, row := range rows {
		for i := 1; i < len(row.text); i++ {
			require.True(t, IsCut([]byte(row.text[:i])), row.text[:i])
			require.False(t, IsCut([]byte(row.text[:i-1]+"!")), row.text[:i])
		}
		require.False(t, IsCut([]byte(row.text)))
		require.False(t, IsCut([]byte(row.text+" ")))
		require.False(t, IsCut(append([]byte(row.text[:len(row.text)-8]), "00000000"...)))
	}
	long := AppendData(nil, &header, Upstream, 0, make([]byte, 600))
	for i := 1; i < len(long); i++ {
		require.True(t, IsCut(long[:i]), string(long[:i]))
	}
	require.False(t, IsCut([]byte("[2026-11-23")))
}

func FuzzParse(f *testing.F) {
	for _, row := range rows {
		f.Add([]byte(row.text))
	}
	f.Add(AppendLayotto([]byte("log: "), window, 8080, []byte("hi")))
	f.Fuzz(func(t *testing.T, line []byte) {
		if l, start, _ := ParseLayotto(line, nil); start >= 0 {
			text := AppendLayotto(nil, l.Window, l.Port, l.Payload)
			require.Equal(t, string(text), string(line[start:start+len(text)]))
		}
		for from := 0; ; {
			start, damaged := Find(line, from)
			if start < 0 {
				return
			}
			from = AfterMark(line, start)
			if damaged {
				continue
			}
			record, n, err := Parse(line[start:], nil)
			if err == nil {
				require.Equal(t, string(line[start:start+n]), string(appendRecord(nil, &record)))
			}
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), uint64(1), uint64(2), int64(3), uint16(4), true)
	f.Fuzz(func(t *testing.T, payload []byte, number, offset uint64, now int64, port uint16, upstream bool) {
		want := Record{
			Kind:    KindData,
			Header:  Header{Window: window, Port: port, Conn: ConnID{VM: offset, Number: number}, Seq: offset, Time: now},
			Offset:  offset,
			Payload: payload,
		}
		if upstream {
			want.Direction = Upstream
		}
		line := append(appendRecord(nil, &want), " suffix"...)
		got, n, err := Parse(line, make([]byte, 0, len(payload)))
		require.NoError(t, err)
		require.Equal(t, len(line)-len(" suffix"), n)
		require.Equal(t, want, got)
	})
}

func BenchmarkAppendData(b *testing.B) {
	payload := bytes.Repeat([]byte("payload!"), 227)
	buf := make([]byte, 0, 4096)
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		AppendData(buf, &header, Downstream, 1, payload)
	}
}

func BenchmarkParse(b *testing.B) {
	line := AppendData(nil, &header, Downstream, 1, bytes.Repeat([]byte("payload!"), 227))
	buf := make([]byte, 0, 4096)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, _, err := Parse(line, buf); err != nil {
			b.Fatal(err)
		}
	}
}
