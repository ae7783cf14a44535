package resp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framertest"
)

// values returns the values of a message, one per line.
func values(m *protocol.Message) (list []string) {
	m.Walk(func(path protocol.Path, v *protocol.Value) {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s", path, v.Type, v.Text)))
	})
	return list
}

func TestFields(t *testing.T) {
	for _, row := range []struct {
		name      string
		direction capture.Direction
		class     string
		message   string
		want      []string
	}{
		{"a request", capture.Downstream, "", send("set", "k", ""), []string{"arguments:$[0] string set", "arguments:$[1] string k", "arguments:$[2] string"}},
		{"inline", capture.Downstream, "", "set k 'a b'\n", []string{"arguments:$[0] string set", "arguments:$[1] string k", "arguments:$[2] string a b"}},
		{"what Redis passes over", capture.Downstream, "", "*-1\r\n", []string{"arguments:$ null"}},
		{"a string", capture.Upstream, "GET", "$2\r\nab\r\n", []string{"value:$ string ab"}},
		{"a status", capture.Upstream, "SET", "+OK\r\n", []string{"value:$ string OK"}},
		{"null", capture.Upstream, "GET", "$-1\r\n", []string{"value:$ null"}},
		{"null of RESP3", capture.Upstream, "GET", "_\r\n", []string{"value:$ null"}},
		{"a null array", capture.Upstream, "BLPOP", "*-1\r\n", []string{"value:$ null"}},
		{"a number as written", capture.Upstream, "INCR", ":+1\r\n", []string{"value:$ number +1"}},
		{"a double", capture.Upstream, "ZSCORE", ",1.50\r\n", []string{"value:$ number 1.50"}},
		{"a big number", capture.Upstream, "A", "(-123456789012345678901\r\n", []string{"value:$ number -123456789012345678901"}},
		{"true", capture.Upstream, "A", "#t\r\n", []string{"value:$ bool true"}},
		{"verbatim", capture.Upstream, "A", "=6\r\ntxt:ab\r\n", []string{"value:$ string ab"}},
		{"streamed", capture.Upstream, "A", "*?\r\n$?\r\n;1\r\na\r\n;1\r\nb\r\n;0\r\n:1\r\n.\r\n", []string{"value:$[0] string ab", "value:$[1] number 1"}},
		{"within each other", capture.Upstream, "A", "*2\r\n*1\r\n:1\r\n-ERR a\r\n", []string{"value:$[0][0] number 1", "value:$[1] error ERR a"}},
		{"an empty array", capture.Upstream, "A", "*0\r\n", []string{"value:$ array"}},
		{"a map", capture.Upstream, "A", "%2\r\n+b\r\n:1\r\n*1\r\n:7\r\n~0\r\n", []string{"value:$.b number 1", "value:$['[0]=7;'] set"}},
		{"a set", capture.Upstream, "A", "~1\r\n+b\r\n", []string{"value:$[0] string b"}},
		{"an attribute", capture.Upstream, "A", "|1\r\n+ttl\r\n:5\r\n:1\r\n", []string{"value:$ number 1", "attribute:$.ttl number 5"}},
		{"a push", capture.Upstream, "", ">2\r\n+a\r\n:1\r\n", []string{"value:$[0] string a", "value:$[1] number 1"}},
		{"pairs", capture.Upstream, "HGETALL", "*4\r\n+b\r\n+1\r\n+a\r\n+2\r\n", []string{"value:$.b string 1", "value:$.a string 2"}},
		{"pairs that are none", capture.Upstream, "HGETALL", "*1\r\n+b\r\n", []string{"value:$[0] string b"}},
		{"pairs of a scan", capture.Upstream, "HSCAN", "*2\r\n+0\r\n*2\r\n+a\r\n+1\r\n", []string{"value:$[0] string 0", "value:$[1].a string 1"}},
		{"maps", capture.Upstream, "XINFO GROUPS", "*1\r\n*2\r\n+name\r\n+g\r\n", []string{"value:$[0].name string g"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, err := Protocol{}.Fields(row.direction, row.class, []byte(row.message))
			require.NoError(t, err)
			require.Equal(t, row.want, values(m))
		})
	}
}

// TestFieldsOrder has answers whose order means nothing become equal, and others not.
func TestFieldsOrder(t *testing.T) {
	for _, row := range []struct {
		name, class, first, then string
		want                     bool
	}{
		{"a set of RESP3", "A", "~2\r\n+a\r\n+b\r\n", "~2\r\n+b\r\n+a\r\n", true},
		{"a map of RESP3", "A", "%2\r\n+a\r\n+1\r\n+b\r\n+2\r\n", "%2\r\n+b\r\n+2\r\n+a\r\n+1\r\n", true},
		{"a set by its command", "SMEMBERS", "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+a\r\n", true},
		{"RESP2 and RESP3", "SMEMBERS", "*2\r\n+a\r\n+b\r\n", "~2\r\n+b\r\n+a\r\n", true},
		{"a scan", "SCAN", "*2\r\n+0\r\n*2\r\n+a\r\n+b\r\n", "*2\r\n+0\r\n*2\r\n+b\r\n+a\r\n", true},
		{"a list", "LRANGE", "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+a\r\n", false},
		{"another member", "SMEMBERS", "*2\r\n+a\r\n+b\r\n", "*2\r\n+a\r\n+c\r\n", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			first, err := Protocol{}.Fields(capture.Upstream, row.class, []byte(row.first))
			require.NoError(t, err)
			then, err := Protocol{}.Fields(capture.Upstream, row.class, []byte(row.then))
			require.NoError(t, err)
			first.Sort()
			then.Sort()
			if row.want {
				require.Equal(t, first, then)
			} else {
				require.NotEqual(t, first, then)
			}
		})
	}
}

func TestFieldsErrors(t *testing.T) {
	for _, row := range []struct {
		name      string
		direction capture.Direction
		message   string
		want      string
	}{
		{"no request", capture.Downstream, "", "read RESP request: the bytes are not one message"},
		{"a part of a request", capture.Downstream, "*1\r\n$4\r\nPI", "read RESP request: the bytes are not one message"},
		{"two requests", capture.Downstream, send("A") + send("A"), "read RESP request: the bytes are not one message"},
		{"no answer", capture.Upstream, "", "read RESP answer: the bytes are not one message"},
		{"two answers", capture.Upstream, ":1\r\n:2\r\n", "read RESP answer: the bytes are not one message"},
		{"a bad answer", capture.Upstream, ":x\r\n", `read RESP answer: no value begins with ":x"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Protocol{}.Fields(row.direction, "", []byte(row.message))
			require.EqualError(t, err, row.want)
		})
	}
}

// FuzzFields has whatever the framer takes as a whole message be readable, with the same class.
func FuzzFields(f *testing.F) {
	f.Add([]byte(send("HGETALL", "k")), []byte("%1\r\n+a\r\n|1\r\n+b\r\n:1\r\n$?\r\n;1\r\na\r\n;0\r\n"))
	f.Add([]byte("PING\r\n"), []byte("|1\r\n+a\r\n+b\r\n=5\r\ntxt:a\r\n"))
	f.Fuzz(func(t *testing.T, question, answer []byte) {
		list, _ := framertest.Messages(t, create(), down(string(question)), up(string(answer)))
		class := ""
		for _, m := range list {
			d := capture.Upstream
			if m.Kind == protocol.Request {
				d, class = capture.Downstream, m.Class
			}
			if m.Partial {
				continue
			}
			got, err := Protocol{}.Fields(d, class, []byte(m.Bytes))
			require.NoError(t, err)
			if m.Bytes[0] != '|' {
				require.Equal(t, m.Failed, got.Failed)
			}
		}
	})
}
