package framed

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framertest"
)

var (
	down, up   = framertest.Down, framertest.Up
	upEnd      = framertest.End(capture.Upstream)
	downEnd    = framertest.End(capture.Downstream)
	directions = [2]capture.Direction{capture.Downstream, capture.Upstream}
)

func parseText(t testing.TB, text string) protocol.Protocol {
	t.Helper()
	p, err := Parse("a.yaml", []byte("name: a\n"+text))
	require.NoError(t, err)
	return p
}

// TestFramer has descriptions of each form, and conversations cut in every way.
func TestFramer(t *testing.T) {
	type chunks = []framertest.Chunk
	for _, row := range []struct {
		name, text string
		chunks     chunks
		want       []string
	}{
		{"a length", "length: {offset: 1}", chunks{down("a\x01xb\x00"), up("c\x02yz")}, []string{"request 1", "request 1", "answer"}},
		{"that counts all", "length: {offset: 1, adjust: 0}", chunks{down("a\x03xb\x02")}, []string{"request 1", "request 1"}},
		{"little", "length: {offset: 0, bytes: 2, endian: little}", chunks{down("\x01\x00x" + "\x00\x01" + strings.Repeat("y", 256))}, []string{"request 1", "request 1"}},
		{"varint", "length: {offset: 1, varint: true}", chunks{down("a\x01x" + "b\x80\x02" + strings.Repeat("y", 256))}, []string{"request 1", "request 1"}},
		{"varint and adjust", "length: {offset: 0, varint: true, adjust: -1}", chunks{down("\x02xy"[:2] + "\x01")}, []string{"request 1", "request 1"}},
		{"a sum", "length: {sum: [{offset: 0}, {offset: 1}], adjust: 2}", chunks{down("\x01\x02abc\x00\x00")}, []string{"request 1", "request 1"}},
		{
			"one of two lengths", "length:\n- {if: {offset: 0, value: 1}, offset: 1}\n- {offset: 2}",
			chunks{down("\x01\x02ab\x00\x02\x01c")},
			[]string{"request 1", "request 1"},
		},
		{"a size after a text", "length: {offset: 1, after: {offset: 0}}", chunks{down("\x02xy\x01a\x00\x00")}, []string{"request 1", "request 1"}},
		{
			"an id after a text", "length: {offset: 0}\nid: {offset: 2, after: {offset: 1}}",
			chunks{down("\x04\x02xy\x07"), up("\x02\x00\x07\x00")},
			[]string{"request #7 1", "answer #7", "push"},
		},
		{
			"kinds", "length: {offset: 0}\nrequest_if: {offset: 1, value: [1, 2]}\noneway_if: {offset: 1, mask: 0x0f, value: 2}\nanswer_if: {offset: 1, value: 3, not: true}",
			chunks{up("\x01\x03\x00"), down("\x01\x01\x01\x02\x01\x03"), up("\x01\x03\x01\x01")},
			[]string{"push", "push", "request 1", "request 0", "request 0", "push", "answer"},
		},
		{"status", "length: {offset: 0}\nstatus: {offset: 1, ok: [0, 5]}", chunks{down("\x00\x00\x00"), up("\x01\x05\x01\x06\x00")}, []string{"request 1", "request 1", "request 1", "answer 5", "answer 6 failed", "answer"}},
		{"class", "length: {offset: 0}\nclass: {offset: 1, bytes: 2}", chunks{down("\x02ab\x02\x00\x01\x01c")}, []string{"request ab 1", "request 0001 1", "request c 1"}},
		{"class by size", "length: {offset: 0}\nclass: {offset: 2, size: {offset: 1}}", chunks{down("\x04\x02abc\x02\x09a\x00")}, []string{"request ab 1", "request a 1", "request 1"}},
		{
			"class by groups", "length: {offset: 0}\nclass: {offset: 1, regexp: '^(\\w+)/(x)?(\\w+)'}",
			chunks{down("\x05ab/cd\x01a")},
			[]string{"request ab.cd 1", "request 1"},
		},
		{"class by expression", "length: {offset: 0}\nclass: {regexp: '[a-z]+'}", chunks{down("\x02a1")}, []string{"request a 1"}},
		{"magic", "length: {offset: 2}\nmagic: {text: ab}", chunks{down("ab\x00"), up("ab\x00")}, []string{"request 1", "answer"}},
		{"streamed", "length: {offset: 0, bytes: 4}\nmax_bytes: 2000000", chunks{down("\x00\x0f\x42\x40" + strings.Repeat("x", 1000000))}, []string{"request 1"}},

		{"lines", "delimiter: \"\\n\"", chunks{up("hello\n"), down("a b\nc\n"), up("x\n"), up("y\n"), up("z\n")}, []string{"push", "request a 1", "request c 1", "answer", "answer", "push"}},
		{"zero bytes", "delimiter: {hex: '00'}", chunks{down("a\x00\x00")}, []string{"request a 1", "request 1"}},
		{"a long delimiter", "delimiter: '--'", chunks{down("a---b--")}, []string{"request a 1", "request -b 1"}},
		{
			"blocks", "delimiter: \"\\r\\n\"\nrequests:\n- match: '^put (?P<length>\\d+)(?P<oneway> q)?'\n- {match: '^bye', oneway: true}",
			chunks{down("put 4\r\n\r\n\r\n\r\nput 0 q\r\n\r\nbye\r\nput x\r\n")},
			[]string{"request put 1", "request put 0", "request bye 0", "request put 1"},
		},
		{
			"answers of several lines", "delimiter: \"\\n\"\nanswers:\n- {match: '^V (?P<length>\\d+)', continues: true}\n- {match: '^\\d\\d\\d-', continues: true}\n- {match: '^(?P<class>[45]\\d\\d)', failed: true}",
			chunks{down("a\nb\nc\n"), up("V 1\n\n\nV 0\n\nEND\n"), up("250-a\n250 b\n"), up("500 no\n")},
			[]string{"request a 1", "request b 1", "request c 1", "answer", "answer", "answer 500 failed"},
		},
		{"a part", "delimiter: \"\\n\"\nanswers: [{match: a, continues: true}]", chunks{down("x\n"), up("a\n")}, []string{"request x 1", "answer partial"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := parseText(t, row.text)
			got, err := framertest.AnyCut(t, p.NewFramer, row.chunks...)
			require.NoError(t, err)
			require.Equal(t, row.want, framertest.Brief(got))
		})
	}
}

func TestFramerErrors(t *testing.T) {
	type chunks = []framertest.Chunk
	const question, answer = "frame a request: ", "frame a answer: "
	for _, row := range []struct {
		name, text string
		chunks     chunks
		want       string
	}{
		{"another magic", "length: {offset: 2}\nmagic: {text: ab}", chunks{down("ac")}, question + "the message does not begin as it should"},
		{"another magic in an answer", "length: {offset: 2}\nmagic: {text: ab}", chunks{up("b")}, answer + "the message does not begin as it should"},
		{"shorter than its head", "length: {offset: 1, adjust: 0}", chunks{down("a\x01")}, question + "the message has 1 bytes, which is less than the 2 that it begins with"},
		{"shorter than its magic", "length: {offset: 0}\nmagic: {offset: 1, text: ab}", chunks{down("\x01ab")}, question + "the message has 2 bytes, which is less than the 3 that it begins with"},
		{"longer than the limit", "length: {offset: 0}\nmax_bytes: 2", chunks{down("\x02")}, question + "the message has 3 bytes, over 2"},
		{"longer than any", "length: {offset: 0, bytes: 8}", chunks{down(strings.Repeat("\xff", 8))}, question + "the message has 1099511627785 bytes, over 67108864"},
		{"a varint without an end", "length: {offset: 0, varint: true}", chunks{down(strings.Repeat("\xff", 10))}, question + "the message has 1099511627777 bytes, over 67108864"},
		{"no length", "length: {if: {offset: 0, value: 1}, offset: 1}", chunks{down("\x02\x00")}, question + "the message meets no condition of a length"},
		{"a far length", "length: {offset: 1, bytes: 1, after: {offset: 0, bytes: 4}}", chunks{down("\xff" + strings.Repeat("\x00", protocol.MaxWanted))}, question + "the message does not say how long it is in 262144 bytes"},
		{"cut", "length: {offset: 0}", chunks{down("\x02a"), downEnd}, question + "the stream ends within a message"},
		{"cut before the length", "length: {offset: 1}", chunks{up("a"), upEnd}, answer + "the stream ends within a message"},
		{"a long line", "delimiter: \"\\n\"", chunks{down(strings.Repeat("a", maxLine+1))}, question + "a line is longer than 65536 bytes"},
		{"a long whole line", "delimiter: \"\\n\"", chunks{down(strings.Repeat("a", maxLine+1) + "\n")}, question + "a line is longer than 65536 bytes"},
		{"a cut line", "delimiter: \"\\n\"", chunks{down("a"), downEnd}, question + "the stream ends within a message"},
		{"a cut block", "delimiter: \"\\n\"\nrequests: [{match: '^(?P<length>\\d+)'}]", chunks{down("2\na"), downEnd}, question + "the stream ends within a message"},
		{"a block without its end", "delimiter: \"\\n\"\nrequests: [{match: '^(?P<length>\\d+)'}]", chunks{down("2\nab"), downEnd}, question + "the stream ends within a message"},
		{"a block that is longer", "delimiter: \"\\n\"\nrequests: [{match: '^(?P<length>\\d+)'}]", chunks{down("2\nabc\n")}, question + "a block is longer than its line says"},
		{"a block over the limit", "max_bytes: 1\ndelimiter: \"\\n\"\nrequests: [{match: '^(?P<length>\\d+)'}]", chunks{down("2\nab\n")}, question + "a block has 2 bytes, over 1"},
		{"a length that is none", "delimiter: \"\\n\"\nrequests: [{match: '^(?P<length>.+)'}]", chunks{down("-1\n")}, question + `the length "-1" of a block is no number of bytes`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := framertest.AnyCut(t, parseText(t, row.text).NewFramer, row.chunks...)
			require.EqualError(t, err, row.want)
		})
	}
}

// TestNoise has what noise leaves of a message.
func TestNoise(t *testing.T) {
	for _, row := range []struct{ name, text, message, want string }{
		{"none", "length: {offset: 0}", "\x03abc", "\x03abc"},
		{"the id", "length: {offset: 0}\nid: {offset: 1, bytes: 2}", "\x03abc", "\x03\x00\x00c"},
		{"a range", "length: {offset: 0}\nnoise: [{offset: 2, bytes: 2}]", "\x03abc", "\x03a\x00\x00"},
		{"a range that is not there", "length: {offset: 0}\nnoise: [{offset: 2, bytes: 3}]", "\x03abc", "\x03abc"},
		{"a range after a text", "length: {offset: 0}\nnoise: [{offset: 2, bytes: 1, after: {offset: 1}}]", "\x03\x01bc", "\x03\x01b\x00"},
		{"an expression", "length: {offset: 0}\nnoise: [{regexp: '[0-9]+'}]", "\x05a12b3", "\x05a*b*"},
		{"its groups", "delimiter: \"\\n\"\nnoise: [{regexp: 'id=(\\w+)(;.)?'}]", "id=a5 id=7;x\n", "id=* id=**\n"},
		{"two expressions", "delimiter: \"\\n\"\nnoise: [{regexp: 'a+'}, {regexp: 'b+'}]", "aabb\n", "**\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, err := parseText(t, row.text).Fields(capture.Upstream, "", []byte(row.message))
			require.NoError(t, err)
			require.Equal(t, []protocol.Field{{Part: "bytes", Value: protocol.Value{Type: protocol.String, Text: row.want}}}, m.Fields)
		})
	}
	for _, row := range []struct{ name, text, message, want string }{
		{"more than a message", "length: {offset: 0}", "\x00\x00", "read a answer: the stream ends within a message"},
		{"no line", "delimiter: \"\\n\"", "a", "read a answer: the stream ends within a message"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := parseText(t, row.text).Fields(capture.Upstream, "", []byte(row.message))
			require.EqualError(t, err, row.want)
		})
	}
}

// FuzzFramer cuts any bytes by each protocol that is built in, and reads whole messages.
func FuzzFramer(f *testing.F) {
	list := Builtin()
	f.Add(uint(0), []byte("\x01\x01\x00\x01\x01\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00a"), []byte("\x01\x00"))
	f.Add(uint(1), []byte("\xda\xbb\xc2\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01N"), []byte("\xda\xbb\x02"))
	f.Add(uint(2), []byte("set a 0 0 1\r\na\r\nget a\r\n"), []byte("STORED\r\nVALUE a 0 1\r\na\r\nEND\r\n"))
	f.Add(uint(3), []byte("\x00\x00\x00\x0e\x80\x01\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x00\x00"), []byte("\x00\x00\x00\x08\x80\x01\x00\x02"))
	f.Fuzz(func(t *testing.T, which uint, question, answer []byte) {
		p := list[which%uint(len(list))]
		messages, _ := framertest.AnyCut(t, p.NewFramer, down(string(question)), up(string(answer)), downEnd, upEnd)
		for _, m := range messages {
			d := capture.Upstream
			if m.Kind == protocol.Request {
				d = capture.Downstream
			}
			if !m.Partial {
				_, err := p.Fields(d, "", []byte(m.Bytes))
				require.NoError(t, err)
			}
		}
	})
}
