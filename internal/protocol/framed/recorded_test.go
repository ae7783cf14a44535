package framed

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framertest"
)

// builtin returns a protocol that is built in.
func builtin(t testing.TB, name string) protocol.Protocol {
	t.Helper()
	list := Builtin()
	i := slices.IndexFunc(list, func(p protocol.Protocol) bool { return p.Name() == name })
	require.GreaterOrEqual(t, i, 0)
	return list[i]
}

// TestRecorded has what real clients and services sent: Dubbo 2.7.23, SOFA Bolt 1.6.11, thriftpy2, and memcached 1.6
// with pymemcache. Each byte is in a message, each request has its answers, and each message can be read by itself.
func TestRecorded(t *testing.T) {
	for _, row := range []struct {
		name string
		want []string // of the first connection
	}{
		{"dubbo", []string{
			"request #0 1", "request #1 1", "request demo.Demo$Greeter.hello #2 1", "answer 20 #0", "answer 20 #1", "answer 20 #2",
			"request demo.Demo$Greeter.numbers #3 1", "answer 20 #3", "request demo.Demo$Greeter.hello #4 1",
			"request demo.Demo$Greeter.hello #5 1", "request demo.Demo$Greeter.hello #6 1", "request demo.Demo$Greeter.hello #7 1",
			"answer 20 #4", "answer 20 #5", "answer 20 #6", "answer 20 #7", "request demo.Demo$Greeter.fail #8 0",
			"request demo.Demo$Greeter.hello #9 1", "answer 20 #9", "request #10 1", "answer 20 #10", "request #11 1",
			"answer 20 #11",
		}},
		{"bolt", []string{
			"request java.lang.String #1 1", "answer 0 #1", "request java.lang.String #2 1", "request java.lang.String #3 1",
			"request java.lang.String #4 1", "request java.lang.String #5 1", "answer 0 #2", "answer 0 #3", "answer 0 #4",
			"answer 0 #5", "request java.lang.String #6 0", "request java.lang.String #7 1", "answer 2 #7 failed",
			"request java.lang.String #8 1", "answer 0 #8", "request #9 1", "answer 0 #9",
		}},
		{"thrift", []string{
			"request hello 1", "answer 2", "request numbers 1", "answer 2", "request tell 0", "request hello 1", "answer 2",
			"request fail 1", "answer 2", "request numbers 1", "answer 2",
		}},
		{"memcached", []string{
			"request flush_all 1", "answer", "request set 1", "answer", "request set 0", "request get 1", "answer", "request get 1",
			"answer", "request gets 1", "answer", "request gets 1", "answer", "request cas 1", "answer", "request add 1", "answer",
			"request append 1", "answer", "request incr 1", "answer", "request delete 1", "answer", "request delete 0",
			"request touch 1", "answer", "request stats 1", "answer", "request version 1", "answer", "request mn 1", "answer",
			"request ms 1", "answer", "request mg 1", "answer", "request mg 1", "answer", "request nonsense 1",
			"answer ERROR failed",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := builtin(t, row.name)
			for i, c := range framertest.Recording(t, "testdata/"+row.name+".log.gz") {
				list, err := framertest.AnyCut(t, p.NewFramer, c.Chunks...)
				require.NoError(t, err)
				if i == 0 {
					require.Equal(t, row.want, framertest.Brief(list))
				}
				requirePairs(t, list)
				requireFields(t, p, list)
			}
		})
	}
}

// requirePairs has as many answers as the requests say, with their ids.
func requirePairs(t *testing.T, list []framertest.Message) {
	t.Helper()
	open := map[uint64]int{}
	for _, m := range list {
		require.False(t, m.Partial)
		switch m.Kind {
		case protocol.Request:
			open[m.ID] += m.Answers
		case protocol.Answer:
			open[m.ID]--
		}
	}
	for id, n := range open {
		require.Zero(t, n, "id %d", id)
	}
}

func requireFields(t *testing.T, p protocol.Protocol, list []framertest.Message) {
	t.Helper()
	for _, m := range list {
		d := capture.Upstream
		if m.Kind == protocol.Request {
			d = capture.Downstream
		}
		got, err := p.Fields(d, "", []byte(m.Bytes))
		require.NoError(t, err)
		require.Equal(t, []any{m.Class, m.Failed}, []any{got.Class, got.Failed})
		require.Len(t, got.Fields[0].Value.Text, len(m.Bytes))
	}
}

// TestRecordedMatch has the first bytes prove Dubbo and thrift, and only be allowed by the others.
func TestRecordedMatch(t *testing.T) {
	want := map[string]protocol.Match{"dubbo": protocol.Yes, "thrift": protocol.Yes, "bolt": protocol.Unsure, "memcached": protocol.Unsure}
	list := Builtin()
	require.Len(t, list, len(want))
	for _, recorded := range list {
		var first [2]string
		for _, chunk := range framertest.Recording(t, "testdata/"+recorded.Name()+".log.gz")[0].Chunks {
			first[chunk.Direction] += chunk.Bytes
		}
		for _, p := range list {
			down, up := p.Match(capture.Downstream, []byte(first[0])), p.Match(capture.Upstream, []byte(first[1]))
			if p.Name() == recorded.Name() {
				require.Equal(t, want[p.Name()], down, p.Name())
				require.Equal(t, want[p.Name()], up, p.Name())
			} else {
				require.NotEqual(t, protocol.Yes, down, "%s for %s", p.Name(), recorded.Name())
			}
			require.Equal(t, protocol.Unsure, p.Match(capture.Downstream, nil))
		}
	}
}

// TestSameAnswer has two answers that differ in their id only be the same, and others not.
func TestSameAnswer(t *testing.T) {
	p := builtin(t, "dubbo")
	answer := func(id, status, text string) string {
		return "\xda\xbb\x02" + status + "\x00\x00\x00\x00\x00\x00\x00" + id + "\x00\x00\x00" + string(rune(len(text))) + text
	}
	text := func(b string) string {
		m, err := p.Fields(capture.Upstream, "", []byte(b))
		require.NoError(t, err)
		return m.Fields[0].Value.Text
	}
	require.Equal(t, text(answer("\x01", "\x14", "abc")), text(answer("\x02", "\x14", "abc")))
	require.NotEqual(t, text(answer("\x01", "\x14", "abc")), text(answer("\x01", "\x14", "abd")))
	require.NotEqual(t, text(answer("\x01", "\x14", "abc")), text(answer("\x01", "\x28", "abc")))
}
