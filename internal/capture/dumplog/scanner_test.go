package dumplog

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/record"
)

var (
	window = record.UUID{0x01, 0x93, 0x57, 0x7d, 0x49, 0x80, 0x80, 0x1e, 0xac, 0x6c, 0x34, 0x64, 0x75, 0x6d, 0x70, 0}
	connA  = record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: 0x2a}
	connB  = record.ConnID{VM: 0x9f0c6a1be3d2a417, Number: 0x2b}
)

const (
	envoyPrefix = "[2026-11-23 01:23:51.887][25111][info][wasm] " +
		"[source/extensions/common/wasm/context.cc:1151] wasm log l4dump l4dump l4dump-v1: "
	istioPrefix = "2026-11-23T01:23:51.887000Z\tinfo\tenvoy wasm " +
		"external/envoy/source/extensions/common/wasm/context.cc:1151\twasm log l4dump l4dump l4dump-v1: "
	istioSuffix = "\tthread=24351"
	criTime     = "2026-11-23T01:23:51.887123456Z"
)

// conversation returns the records of a whole connection, of all kinds.
func conversation(id record.ConnID) []string {
	h := record.Header{Window: window, Port: 8080, Conn: id, Time: 1795397031123456789}
	var all []string
	add := func(b []byte) {
		all = append(all, string(b))
		h.Seq++
		h.Time += 1_000_000
	}
	add(record.AppendOpen(nil, &h, &record.Open{
		Unit: "connections", Started: 1795397031123455789, ProxyConn: 12, Source: "10.0.0.7:40112",
		Destination: "10.0.0.9:8080", SNI: "db example", Peer: "spiffe://cluster.local/ns/demo", MTLS: true,
	}))
	add(record.AppendData(nil, &h, record.Downstream, 0, []byte("GET / HTTP/1.0\r\n\r\n")))
	add(record.AppendEnd(nil, &h, record.Downstream, 18))
	add(record.AppendData(nil, &h, record.Upstream, 0, []byte(strings.Repeat("HTTP/1.0 200 OK\r\n\r\n\x00\x1b[31mred", 20))))
	add(record.AppendEnd(nil, &h, record.Upstream, 540))
	add(record.AppendClose(nil, &h, &record.Close{
		By:         "downstream",
		Downstream: record.Ledger{Seen: 18, Kept: 18},
		Upstream:   record.Ledger{Seen: 540, Kept: 540},
	}))
	return all
}

// found is a Handler that notes what it gets.
type found struct {
	records []string
	places  []string
	layotto []string
	texts   []string
	faults  []string
	fail    error
}

func (f *found) Record(r *record.Record, text []byte, at capture.Place) error {
	again, n, err := record.Parse(text, nil)
	if err != nil || n != len(text) || again.Header != r.Header || string(again.Payload) != string(r.Payload) {
		panic(fmt.Sprintf("text is not the record's: %q", text))
	}
	f.records = append(f.records, string(text))
	f.places = append(f.places, at.String())
	return f.fail
}

func (f *found) Layotto(l *record.Layotto, at capture.Place) error {
	f.layotto = append(f.layotto, fmt.Sprintf("%s %s %d %q", at, l.Window, l.Port, l.Payload))
	return f.fail
}

func (f *found) Text(line []byte, at capture.Place) error {
	f.texts = append(f.texts, at.String()+" "+string(line))
	return f.fail
}

func (f *found) Fault(fault Fault) { f.faults = append(f.faults, fault.String()) }

// scan scans an input that comes in blocks of size bytes.
func scan(t require.TestingT, input string, size int) *found {
	var f found
	s := NewScanner(&f)
	require.NoError(t, s.Begin("log"))
	for b := []byte(input); len(b) > 0; {
		n := min(size, len(b))
		block := append(make([]byte, 0, n), b[:n]...)
		require.NoError(t, s.Write(block))
		for i := range block {
			block[i] = '!' // a Scanner keeps no block
		}
		b = b[n:]
	}
	require.NoError(t, s.End())
	require.NoError(t, s.Finish())
	return &f
}

func logOf(lines []string) string { return strings.Join(lines, "\n") + "\n" }

func criLine(stream, tag, text string) string { return criTime + " " + stream + " " + tag + " " + text }

func dockerLine(stream, text string) string {
	return `{"log":` + strconv.Quote(text) + `,"stream":"` + stream + `","time":"` + criTime + `"}`
}

func istio(line string) string { return istioPrefix + line + istioSuffix }

func istioJSON(line string) string {
	return `{"level":"info","time":"2026-11-23T01:23:51.887000Z","scope":"envoy wasm",` +
		`"msg":"wasm log l4dump l4dump l4dump-v1: ` + line + `","thread":"24351"}`
}

// each returns a log in which each line has the shape.
func each(shape func(line string) string) func(lines []string) string {
	return func(lines []string) string {
		shaped := make([]string, len(lines))
		for i, line := range lines {
			shaped[i] = shape(line)
		}
		return logOf(shaped)
	}
}

// parts cuts a line at some places.
func cut(line string, at ...int) []string {
	var all []string
	last := 0
	for _, i := range at {
		i = min(i, len(line))
		all = append(all, line[last:i])
		last = i
	}
	return append(all, line[last:])
}

// inParts is a log whose lines stand in three parts, each of which has a shape.
func inParts(shape func(part string, last bool) string) func(lines []string) string {
	return each(func(line string) string {
		var all []string
		pieces := cut(istio(line), 150, 190)
		for i, piece := range pieces {
			all = append(all, shape(piece, i == len(pieces)-1))
		}
		return strings.Join(all, "\n")
	})
}

func escapeAll(text, chars string, escape func(c rune) string) string {
	var b strings.Builder
	for _, c := range text {
		if strings.ContainsRune(chars, c) {
			b.WriteString(escape(c))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func unicode16(text string, big, mark bool) string {
	if mark {
		text = "\ufeff" + text
	}
	var b []byte
	for _, r := range text {
		if big {
			b = append(b, byte(r>>8), byte(r))
		} else {
			b = append(b, byte(r), byte(r>>8))
		}
	}
	return string(b)
}

func tag(last bool) string {
	if last {
		return "F"
	}
	return "P"
}

// shapes are logs as ordinary tools make them. Each holds every line that it is given.
var shapes = []struct {
	name  string
	shape func(lines []string) string
}{
	{"records alone", logOf},
	{"Envoy", each(func(l string) string { return envoyPrefix + l })},
	{"CRLF", each(func(l string) string { return envoyPrefix + l + "\r" })},
	{"Istio", each(istio)},
	{"Istio JSON", each(istioJSON)},
	{"CRI", each(func(l string) string { return criLine("stderr", "F", istio(l)) })},
	{"CRI with time zone and further tags", each(func(l string) string {
		return "2026-11-23T02:23:51.887123456+01:00 stdout F:x:y " + l
	})},
	{"CRI around JSON", each(func(l string) string { return criLine("stdout", "F", istioJSON(l)) })},
	{"CRI in parts", inParts(func(p string, last bool) string { return criLine("stderr", tag(last), p) })},
	{"CRI in parts, CRLF", inParts(func(p string, last bool) string { return criLine("stderr", tag(last), p) + "\r" })},
	{"CRI in parts, with another stream", inParts(func(p string, last bool) string {
		return criLine("stderr", tag(last), p) + "\n" + criLine("stdout", "P", "deadbeef") + "\n" + criLine("stdout", "F", "abc")
	})},
	{"CRI in parts, by grep", inParts(func(p string, last bool) string {
		return "/var/log/pods/a/0.log:12:" + criLine("stderr", tag(last), p) + "\n/var/log/pods/b/0.log-7-" + criLine("stderr", "F", "ab")
	})},
	{"CRI whose last part is empty", each(func(l string) string {
		return criLine("stderr", "P", l) + "\n" + criTime + " stderr F"
	})},
	{"JSON escapes cut by CRI", each(func(l string) string {
		var all []string
		l = istioJSON(escapeAll(l, "=[]", func(c rune) string { return fmt.Sprintf(`\\\\u%04x`, c) }))
		for len(l) > 0 {
			n := min(97, len(l))
			all = append(all, criLine("stderr", tag(n == len(l)), l[:n]))
			l = l[n:]
		}
		return strings.Join(all, "\n")
	})},
	{"Docker", each(func(l string) string { return dockerLine("stderr", istio(l)+"\n") })},
	{"Docker around JSON", each(func(l string) string { return dockerLine("stdout", istioJSON(l)+"\n") })},
	{"Docker in parts", inParts(func(p string, last bool) string {
		if last {
			p += "\n"
		}
		return dockerLine("stderr", p) + "\n" + dockerLine("stdout", "other\n")
	})},
	{"Docker without line breaks", each(func(l string) string { return dockerLine("stderr", istio(l)) })},
	{"Docker in parts without line breaks", inParts(func(p string, _ bool) string { return dockerLine("stderr", p) })},
	{"Docker with another order and spaces", inParts(func(p string, last bool) string {
		if last {
			p += "\n"
		}
		return `{ "time": "` + criTime + `", "stream" : "stderr", "log" : ` + strconv.Quote(p) + ` }`
	})},
	{"Fluent Bit's tags", inParts(func(p string, last bool) string {
		return `{"stream":"stderr","logtag":"` + tag(last) + `","message":` + strconv.Quote(p) +
			`,"kubernetes":{"pod_name":"web-0","docker_id":"0123456789abcdef0123456789abcdef"}}`
	})},
	{"Docker's partial messages", inParts(func(p string, last bool) string {
		return `{"container_id":"0123456789abcdef","container_name":"/web","source":"stderr","log":` + strconv.Quote(p) +
			`,"partial_message":"true","partial_id":"0123456789abcdef","partial_last":"` + strconv.FormatBool(last) + `"}`
	})},
	{"parts within one line", func(lines []string) string {
		return `[` + strings.ReplaceAll(strings.TrimSuffix(inParts(func(p string, last bool) string {
			return `{"body":{"stringValue":` + strconv.Quote(p) + `},"attributes":[{"key":"logtag","value":{"stringValue":"` + tag(last) + `"}}]}`
		})(lines), "\n"), "\n", ",") + `]`
	}},
	{"JSON that resembles Docker's", each(func(l string) string { return `{"log":"` + l + `","level":"info"}` })},
	{"OTLP", func(lines []string) string {
		return `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"` +
			strings.Join(lines, `"}},{"timeUnixNano":"1795397031887000000","body":{"stringValue":"`) + `"}}]}]}]}`
	}},
	{"JSON in JSON in JSON", each(func(l string) string {
		return `{"message":` + strconv.Quote(`{"log":`+strconv.Quote(istioJSON(l))+`}`) + `}`
	})},
	{"JSON over several lines", each(func(l string) string { return "{\n  \"log\": \"" + l + "\",\n  \"stream\": \"stderr\"\n}," })},
	{"\\u003d", each(func(l string) string {
		return `{"message": "` + escapeAll(l, "=<>&'", func(c rune) string { return fmt.Sprintf(`\u%04x`, c) }) + `"}`
	})},
	{"\\u005B and \\/", each(func(l string) string {
		return `{"message": "` + escapeAll(escapeAll(l, "/", func(rune) string { return `\/` }), "[]%", func(c rune) string {
			return fmt.Sprintf(`\u%04X`, c)
		}) + `"}`
	})},
	{"escapes in escapes", each(func(l string) string {
		l = escapeAll(l, "=[]:", func(c rune) string { return fmt.Sprintf(`\u%04x`, c) })
		return `{"a":` + strconv.Quote(`{"b":`+strconv.Quote(`{"c":"`+l+`"}`)+`}`) + `}`
	})},
	{"HTML", each(func(l string) string {
		return `<td class="log">` + escapeAll(l, "=/", func(c rune) string { return fmt.Sprintf("&#x%X;", c) }) + `</td>`
	})},
	{"HTML, decimal", each(func(l string) string {
		return `<td>` + escapeAll(l, "=/", func(c rune) string { return fmt.Sprintf("&#%d;", c) }) + `</td>`
	})},
	{"CSV", each(func(l string) string { return `1,"say ""x""` + istio(l) + `",2` })},
	{"logfmt", each(func(l string) string { return `level=info msg=` + strconv.Quote(istio(l)) + ` thread=1` })},
	{"rsyslog", each(func(l string) string {
		return "Nov 23 01:23:51 host envoy[1]: " + strings.ReplaceAll(istio(l), "\t", "#011")
	})},
	{"colors of grep", each(func(l string) string {
		return "\x1b[35m\x1b[K0.log\x1b[m\x1b[K\x1b[36m\x1b[K:\x1b[m\x1b[K12:" + envoyPrefix +
			strings.ReplaceAll(l, "8080", "\x1b[01;31m\x1b[K8080\x1b[m\x1b[K")
	})},
	{"colors in JSON", each(func(l string) string {
		return `{"message":"` + strings.ReplaceAll(l, "L4D1", `\u001b[01;31m\u001b[KL4D1\u001b[m\u001b[K`) + `"}`
	})},
	{"colors through rsyslog", each(func(l string) string { return strings.ReplaceAll(l, "conn", `#033[31mconn#033[m`) })},
	{"byte order mark", func(lines []string) string { return "\ufeff" + logOf(lines) }},
	{"UTF-16", func(lines []string) string { return unicode16(logOf(lines), false, true) }},
	{"UTF-16, big", func(lines []string) string { return unicode16(logOf(lines), true, true) }},
	{"UTF-16 without a mark, CRLF", func(lines []string) string {
		return unicode16(strings.ReplaceAll(logOf(lines), "\n", "\r\n"), false, false)
	}},
	{"UTF-16 of JSON, big", func(lines []string) string {
		return unicode16(each(func(l string) string {
			return `{"é":"` + escapeAll(l, "=", func(rune) string { return `\u003d` }) + `"}`
		})(lines), true, false)
	}},
	{"holes", func(lines []string) string {
		return strings.Repeat("\x00", 2<<20) + strings.Join(lines, strings.Repeat("\x00", 5000)+"\n")
	}},
	{"no line breaks", func(lines []string) string { return strings.Join(lines, "") }},
	{"one line with spaces", func(lines []string) string { return strings.Join(lines, " ") }},
	{"twice in a line", each(func(l string) string { return `{"raw":` + strconv.Quote(istio(l)) + `,"msg":"` + l + `"}` })},
	{"between lines without records", each(func(l string) string { return envoyPrefix + "started\n\n" + l + "\n2026-11-23 neither" })},
	{"cut by a terminal's width", each(func(l string) string { return strings.Join(cut(l, 80, 160), "\n") })},
}

// TestShapes finds the same records in every shape.
func TestShapes(t *testing.T) {
	want := conversation(connA)
	for _, row := range shapes {
		t.Run(row.name, func(t *testing.T) {
			input := row.shape(want)
			whole := scan(t, input, len(input))
			require.Equal(t, want, whole.records)
			require.Empty(t, whole.faults)
			require.Empty(t, whole.layotto)
			for _, size := range []int{1, 7, 1000} {
				if size < 1000 && len(input) > 100_000 {
					continue // FuzzScan has small blocks at a window's end
				}
				require.Equal(t, whole, scan(t, input, size), "blocks of %d bytes", size)
			}
		})
	}
}
