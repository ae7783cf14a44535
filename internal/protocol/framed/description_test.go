package framed

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParseErrors has each fault name its field and line.
func TestParseErrors(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"nothing", "", "a.yaml: want a description of a protocol"},
		{"no YAML", "a: [", "a.yaml: yaml: line 1: did not find expected node content"},
		{
			"a list", "- a\n",
			"a.yaml:1: : want a mapping with name, ports, max_bytes, magic, length, id, request_if, oneway_if, answer_if, status, class, noise, delimiter, requests, answers",
		},
		{"no framing", "name: a\n", "a.yaml:1: length: want length or delimiter, one of them"},
		{"both framings", "name: a\ndelimiter: x\nlength: {offset: 0}\n", "a.yaml:3: length: want length or delimiter, one of them"},
		{"no name", "length: {offset: 0}\n", "a.yaml:1: name: want a name of at most 32 lower-case letters, digits, _ and -, which is not raw or auto"},
		{"a name that is taken", "name: raw\nlength: {offset: 0}\n", "a.yaml:1: name: want a name of at most 32 lower-case letters, digits, _ and -, which is not raw or auto"},
		{
			"unknown keys, and all faults at once", "name: a\nlength:\n  offset: 0\n  byte: 2\n  bytes: 9\nports: [1, x, 0]\n",
			"a.yaml:6: ports: want numbers from 1 to 65535, not \"x\"\na.yaml:6: ports: want numbers from 1 to 65535, not \"0\"\n" +
				"a.yaml:4: length.byte: unknown key, want one of offset, bytes, endian, after, varint, adjust, if, sum\n" +
				"a.yaml:5: length.bytes: want a number from 1 to 8, not \"9\"",
		},
		{"a key twice", "name: a\nlength: {offset: 0}\nname: b\n", "a.yaml:3: name: the key stands twice"},
		{"an offset over the limit", "name: a\nlength: {offset: 65537}\n", `a.yaml:2: length.offset: want a number from 0 to 65536, not "65537"`},
		{"no offset", "name: a\nlength: {bytes: 4}\n", "a.yaml:2: length.offset: want the bytes before the number"},
		{"an endian that is none", "name: a\nlength: {offset: 0, endian: middle}\n", `a.yaml:2: length.endian: want big or little, not "middle"`},
		{"a varint of a size", "name: a\nlength: {offset: 0, varint: true, bytes: 2}\n", "a.yaml:2: length.bytes: there is no use for it beside varint"},
		{"a varint that is none", "name: a\nlength: {offset: 0, varint: maybe}\n", `a.yaml:2: length.varint: want true or false, not "maybe"`},
		{"a sum without adjust", "name: a\nlength: {sum: [{offset: 0}]}\n", "a.yaml:2: length.adjust: want the bytes that the numbers in sum do not count"},
		{"a sum and an offset", "name: a\nlength: {sum: [{offset: 0}], adjust: 0, offset: 1}\n", "a.yaml:2: length.offset: there is no use for it beside sum"},
		{"an empty sum", "name: a\nlength: {sum: [], adjust: 0}\n", "a.yaml:2: length.sum: want a list"},
		{"two lengths without a condition", "name: a\nlength:\n- {offset: 0}\n- {offset: 1}\n", "a.yaml:3: length.if: want a condition in all lengths but the last"},
		{"a condition without a value", "name: a\nlength: {offset: 0}\nrequest_if: {offset: 1}\n", "a.yaml:3: request_if.value: want a number, or a list of them"},
		{"a condition of no number", "name: a\nlength: {offset: 0}\nrequest_if: {offset: 1, value: x}\n", `a.yaml:3: request_if.value: want a number from 0 on, or a list of them, not "x"`},
		{"an empty list of values", "name: a\nlength: {offset: 0}\nrequest_if: {offset: 1, value: []}\n", "a.yaml:3: request_if.value: want one number or more"},
		{"a condition that is none", "name: a\nlength: {offset: 0}\nrequest_if: 5\n", "a.yaml:3: request_if: want a mapping with offset, bytes, endian, after, mask, value, not"},
		{"a magic of odd digits", "name: a\nlength: {offset: 0}\nmagic: {hex: abc}\n", `a.yaml:3: magic.hex: want pairs of hexadecimal digits, not "abc"`},
		{"two magics", "name: a\nlength: {offset: 0}\nmagic: {hex: ab, text: a}\n", "a.yaml:3: magic.text: want hex or text, not both"},
		{"no magic", "name: a\nlength: {offset: 0}\nmagic: {offset: 0}\n", "a.yaml:3: magic.hex: want hex or text"},
		{"an id without an offset", "name: a\nlength: {offset: 0}\nid: {bytes: 4}\n", "a.yaml:3: id.offset: want the bytes before the number"},
		{"a status without ok", "name: a\nlength: {offset: 0}\nstatus: {offset: 1}\n", "a.yaml:3: status.ok: want the values that are no failure"},
		{"a class of two kinds", "name: a\nlength: {offset: 0}\nclass: {bytes: 1, regexp: a}\n", "a.yaml:3: class.bytes: want one of bytes, size and regexp"},
		{"a class of no kind", "name: a\nlength: {offset: 0}\nclass: {offset: 1}\n", "a.yaml:3: class.bytes: want one of bytes, size and regexp"},
		{"a size without an offset", "name: a\nlength: {offset: 0}\nclass: {size: {bytes: 1}}\n", "a.yaml:3: class.size.offset: want the bytes before the number"},
		{"no expression", "name: a\nlength: {offset: 0}\nclass: {regexp: '('}\n", "a.yaml:3: class.regexp: want a regular expression as Go has them: error parsing regexp: missing closing ): `(`"},
		{"rules beside a length", "name: a\nlength: {offset: 0}\nrequests: [{match: a}]\n", "a.yaml:3: requests: there is no use for it beside length"},
		{"an id beside a delimiter", "name: a\ndelimiter: x\nid: {offset: 0}\n", "a.yaml:3: id: there is no use for it beside delimiter"},
		{"a rule without an expression", "name: a\ndelimiter: x\nrequests:\n- oneway: true\n", "a.yaml:4: requests.match: want a regular expression"},
		{"a rule that continues a request", "name: a\ndelimiter: x\nrequests:\n- match: a\n  continues: true\n", "a.yaml:5: requests.continues: unknown key, want one of match, oneway"},
		{"no delimiter", "name: a\ndelimiter: ''\n", "a.yaml:2: delimiter: want a text"},
		{"a delimiter of nothing", "name: a\ndelimiter: {}\n", "a.yaml:2: delimiter.hex: want hex or text"},
		{"ranges of noise in lines", "name: a\ndelimiter: x\nnoise: [{offset: 0, bytes: 1}]\n", "a.yaml:3: noise.regexp: want a regular expression, as lines have no offsets"},
		{"noise of no kind", "name: a\nlength: {offset: 0}\nnoise: [{bytes: 1}]\n", "a.yaml:3: noise.offset: want offset and bytes, or regexp"},
		{"noise of two kinds", "name: a\nlength: {offset: 0}\nnoise: [{regexp: a, bytes: 1}]\n", "a.yaml:3: noise.bytes: there is no use for it beside regexp"},
		{"max_bytes of 0", "name: a\nlength: {offset: 0}\nmax_bytes: 0\n", `a.yaml:3: max_bytes: want a number from 1 to 1099511627776, not "0"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse("a.yaml", []byte(row.text))
			require.EqualError(t, err, row.want)
		})
	}
}

// FuzzParse has any text be a description or an error.
func FuzzParse(f *testing.F) {
	files, err := protocols.ReadDir("protocols")
	require.NoError(f, err)
	for _, file := range files {
		text, err := protocols.ReadFile("protocols/" + file.Name())
		require.NoError(f, err)
		f.Add(text, []byte("\xda\xbb\x00\x00"))
	}
	f.Add([]byte("a: &a [*a]"), []byte("a"))
	f.Fuzz(func(t *testing.T, text, first []byte) {
		p, err := Parse("a.yaml", text)
		if err != nil {
			return
		}
		for d := range first[:min(2, len(first))] {
			_, _ = p.NewFramer().Next(directions[d], first, true)
			_, _ = p.Fields(directions[d], "", first)
			_ = p.Match(directions[d], first)
		}
	})
}
