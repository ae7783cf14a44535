package resp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/redcon"

	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framertest"
)

var (
	down, up = framertest.Down, framertest.Up
	upEnd    = framertest.End(capture.Upstream)
	downEnd  = framertest.End(capture.Downstream)
)

func create() protocol.Framer { return &framer{} }

// send returns a command as clients send it.
func send(words ...string) string {
	b := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		b += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	return b
}

// array returns an array of strings, or a push, with a number at its end.
func array(kind string, count int, words ...string) string {
	return kind + strings.TrimPrefix(fmt.Sprintf("*%d\r\n", len(words)+1), "*") + strings.SplitN(send(words...), "\r\n", 2)[1] + fmt.Sprintf(":%d\r\n", count)
}

// TestFramer has conversations, cut in every way.
func TestFramer(t *testing.T) {
	type chunks = []framertest.Chunk
	for _, row := range []struct {
		name   string
		chunks chunks
		want   []string
	}{
		{"a command and its answer", chunks{down(send("get", "k")), up("$1\r\nv\r\n")}, []string{"request GET 1", "answer"}},
		{"without arguments", chunks{down(send("PING")), up("+PONG\r\n")}, []string{"request PING 1", "answer"}},
		{"an empty argument", chunks{down(send("SET", "", "")), up("+OK\r\n")}, []string{"request SET 1", "answer"}},
		{
			"pipelined, one fails",
			chunks{down(send("INCR", "a") + send("LPOP", "a") + send("GET", "a")), up(":1\r\n-WRONGTYPE Operation\r\n$-1\r\n")},
			[]string{"request INCR 1", "request LPOP 1", "request GET 1", "answer", "answer WRONGTYPE failed", "answer"},
		},
		{"a command of two words", chunks{down(send("config", "get", "a*") + send("CLIENT"))}, []string{"request CONFIG GET 1", "request CLIENT 1"}},
		{"inline", chunks{down("PING\r\nset k \"a b\"\nclient reply\r\n")}, []string{"request PING 1", "request SET 1", "request CLIENT REPLY 1"}},
		{"what Redis passes over", chunks{down("\r\n\n*0\r\n*-1\r\n" + send("PING"))}, []string{"request 0", "request 0", "request 0", "request 0", "request PING 1"}},
		{"an empty name", chunks{down(send("")), up("-ERR unknown command ''\r\n")}, []string{"request 1", "answer ERR failed"}},
		{"login", chunks{down(send("AUTH", "secret") + send("HELLO", "3")), up("+OK\r\n-NOPROTO a\r\n")}, []string{"request AUTH 1 login", "request HELLO 1 login", "answer", "answer NOPROTO failed"}},

		{"values within each other", chunks{down(send("EVAL")), up("*3\r\n*0\r\n*2\r\n:1\r\n*1\r\n-ERR a\r\n$-1\r\n+OK\r\n")}, []string{"request EVAL 1", "answer", "push"}},
		{
			"RESP3",
			chunks{down(strings.Repeat(send("A"), 9)), up("%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n:-2\r\n_\r\n#t\r\n,-1.5e+3\r\n(123456789012345678901234567890\r\n=7\r\ntxt:abc\r\n,inf\r\n~0\r\n%0\r\n")},
			append(slices.Repeat([]string{"request A 1"}, 9), slices.Repeat([]string{"answer"}, 9)...),
		},
		{"an error of bytes", chunks{down(send("A")), up("!21\r\nSYNTAX invalid syntax\r\n")}, []string{"request A 1", "answer SYNTAX failed"}},
		{"a long error of bytes", chunks{down(send("A")), up("!40\r\n" + strings.Repeat("a", 40) + "\r\n")}, []string{"request A 1", "answer ERR failed"}},
		{"streamed", chunks{down(send("A") + send("A") + send("A")), up("$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n*?\r\n:1\r\n*?\r\n.\r\n.\r\n%?\r\n+a\r\n:1\r\n.\r\n")}, []string{"request A 1", "request A 1", "request A 1", "answer", "answer", "answer"}},
		{"an attribute", chunks{down(send("A")), up("|1\r\n+ttl\r\n*2\r\n:1\r\n:2\r\n*2\r\n:1\r\n|0\r\n:2\r\n")}, []string{"request A 1", "answer"}},
		{"a push among answers", chunks{down(send("A")), up(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n:1\r\n")}, []string{"request A 1", "push", "answer"}},
		{"unasked", chunks{up("-ERR max number of clients reached\r\n"), upEnd}, []string{"push ERR failed"}},

		{
			"subscriptions",
			chunks{
				down(send("SUBSCRIBE", "a", "b")), up(array("*", 1, "subscribe", "a") + array("*", 2, "subscribe", "b")),
				up("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"), down(send("PING")), up("*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
				down(send("PSUBSCRIBE", "p*")), up("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n" + array("*", 3, "psubscribe", "p*")),
				down(send("UNSUBSCRIBE") + send("PUNSUBSCRIBE", "p*") + send("GET", "k")),
				up(array("*", 2, "unsubscribe", "a") + array("*", 1, "unsubscribe", "b") + array("*", 0, "punsubscribe", "p*")),
				up("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"),
			},
			[]string{
				"request SUBSCRIBE 2", "answer", "answer", "push", "request PING 1", "answer", "request PSUBSCRIBE 1", "push", "answer",
				"request UNSUBSCRIBE -1", "request PUNSUBSCRIBE 1", "request GET 1", "answer", "answer", "answer", "answer",
			},
		},
		{
			"no subscription to end",
			chunks{down(send("UNSUBSCRIBE") + send("PING")), up("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n+PONG\r\n")},
			[]string{"request UNSUBSCRIBE -1", "request PING 1", "answer", "answer"},
		},
		{
			"a subscription that is refused",
			chunks{down(send("SUBSCRIBE", "a", "b") + send("PING")), up("-NOPERM a\r\n+PONG\r\n")},
			[]string{"request SUBSCRIBE 2", "request PING 1", "answer NOPERM failed", "answer"},
		},
		{
			"subscriptions in RESP3",
			chunks{
				down(send("HELLO", "3") + send("SUBSCRIBE", "a") + send("LRANGE", "l", "0", "-1")), up("%0\r\n" + array(">", 1, "subscribe", "a")),
				up("*1\r\n$7\r\nmessage\r\n"), up(">3\r\n+message\r\n$1\r\na\r\n$1\r\nx\r\n"), up(array(">", 0, "sunsubscribe", "s")),
			},
			[]string{"request HELLO 1 login", "request SUBSCRIBE 1", "request LRANGE 1", "answer", "answer", "answer", "push", "push"},
		},
		{
			"back to RESP2",
			chunks{
				down(send("HELLO", "3") + send("RESET") + send("SUBSCRIBE", "a")), up("%0\r\n+RESET\r\n" + array("*", 1, "subscribe", "a")),
				up("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"),
			},
			[]string{"request HELLO 1 login", "request RESET 1", "request SUBSCRIBE 1", "answer", "answer", "answer", "push"},
		},
		{
			"a transaction",
			chunks{down(send("MULTI") + send("BLPOP", "a", "0") + send("EXEC") + send("BLPOP", "a", "0")), up("+OK\r\n+QUEUED\r\n*1\r\n*-1\r\n")},
			[]string{"request MULTI 1", "request BLPOP 1", "request EXEC 1", "request BLPOP 1 -1ns", "answer", "answer", "answer"},
		},
		{
			"no replies",
			chunks{
				down(send("CLIENT", "REPLY", "OFF") + send("GET", "k") + send("SUBSCRIBE", "a")), up(array("*", 1, "subscribe", "a")),
				down(send("CLIENT", "REPLY", "ON")), up("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"),
			},
			[]string{"request CLIENT REPLY 0", "request GET 0", "request SUBSCRIBE 0", "push", "request CLIENT REPLY 0", "push"},
		},
		{
			"replies again",
			chunks{down(send("CLIENT", "REPLY", "OFF") + send("GET", "k") + send("CLIENT", "REPLY", "ON")), up("+OK\r\n")},
			[]string{"request CLIENT REPLY 0", "request GET 0", "request CLIENT REPLY 1", "answer"},
		},
		{
			"no reply to the next one",
			chunks{down(send("CLIENT", "REPLY", "skip") + send("SET", "k", "v") + send("GET", "k") + send("CLIENT", "REPLY", "what"))},
			[]string{"request CLIENT REPLY 0", "request SET 0", "request GET 1", "request CLIENT REPLY 1"},
		},
		{
			"MONITOR",
			chunks{down(send("GET", "a") + send("MONITOR")), up("+1 [\r\n+OK\r\n+1.5 [0 a:1] \"GET\" \"k\"\r\n"), down(send("RESET")), up("+1.5 [0 a:1] \"GET\"\r\n+RESET\r\n")},
			[]string{"request GET 1", "request MONITOR 1", "push", "answer", "push", "request RESET 1", "answer", "answer"},
		},
		{
			"waits",
			chunks{down(
				send("BLPOP", "a", "b", "0.5") + send("BLMPOP", "2", "1", "a", "LEFT") + send("XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "BLOCK", "$") +
					send("XREAD", "STREAMS", "BLOCK", "5") + send("WAIT", "1", "1500") + send("BRPOP", "a", "x") + send("BRPOP", "a", strings.Repeat("1", 25)) +
					send("BLPOP") + "blpop a 2\r\n",
			)},
			[]string{
				"request BLPOP 1 500ms", "request BLMPOP 1 2s", "request XREAD 1 -1ns", "request XREAD 1", "request WAIT 1 1.5s",
				"request BRPOP 1", "request BRPOP 1", "request BLPOP 1", "request BLPOP 1 2s",
			},
		},
		{"a large argument", chunks{down(send("SET", "k", strings.Repeat("x", 300<<10))), up("+OK\r\n")}, []string{"request SET 1", "answer"}},
		{"a part", chunks{down("*2\r\n$3\r\nGET\r\n$5\r\nab"), up("*2\r\n:1\r\n")}, []string{"request GET 0 partial", "push partial"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := framertest.AnyCut(t, create, row.chunks...)
			require.NoError(t, err)
			require.Equal(t, row.want, framertest.Brief(got))
		})
	}
}

// TestRecorded has what clients and Redis 7.0 sent. Redcon reads the same messages, as far as it knows them, and there
// are as many answers as the requests say.
func TestRecorded(t *testing.T) {
	var errs []string
	answers, pushes := 0, 0
	for i, c := range framertest.Recording(t, "testdata/redis.log.gz") {
		list, err := framertest.AnyCut(t, create, c.Chunks...)
		if err != nil {
			errs = append(errs, err.Error())
		}
		want, got, unknown := 0, 0, false
		for _, m := range list {
			require.False(t, m.Partial)
			switch m.Kind {
			case protocol.Request:
				want += m.Answers
				unknown = unknown || m.Answers == protocol.Unknown
				requireAsRedcon(t, m)
				continue
			case protocol.Answer:
				got++
			case protocol.Push:
				pushes++
			}
			if strings.IndexByte("+-:$", m.Bytes[0]) >= 0 {
				n, _ := redcon.ReadNextRESP([]byte(m.Bytes))
				require.Equal(t, len(m.Bytes), n)
			}
		}
		if err == nil && !unknown {
			require.Equal(t, want, got, "connection %d", i)
		}
		answers += got
	}
	require.Equal(t, []string{"the rest of the connection is raw: it replicates"}, errs)
	require.Equal(t, []int{163, 9}, []int{answers, pushes})
}

// requireAsRedcon reads a request by redcon.
func requireAsRedcon(t *testing.T, m framertest.Message) {
	t.Helper()
	if m.Class == "" {
		return // redcon does not pass over all that Redis does
	}
	complete, args, _, rest, err := redcon.ReadNextCommand([]byte(m.Bytes), nil)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.True(t, complete)
	require.True(t, strings.HasPrefix(m.Class, strings.ToUpper(string(args[0]))))
}

// TestFramerErrors has what is no RESP, and what is too much.
func TestFramerErrors(t *testing.T) {
	type chunks = []framertest.Chunk
	const question, answer = "frame RESP request: ", "frame RESP answer: "
	for _, row := range []struct {
		name   string
		chunks chunks
		want   string
	}{
		{"no number of arguments", chunks{down("*x\r\n")}, question + "the number of arguments is none, or over 1048576"},
		{"too many arguments", chunks{down("*1048577\r\n")}, question + "the number of arguments is none, or over 1048576"},
		{"an argument that is no string", chunks{down("*2\r\n$3\r\nGET\r\n:1\r\n")}, question + "an argument is no string"},
		{"a name that is no string", chunks{down("*1\r\n:1\r\n")}, question + "an argument is no string"},
		{"a long name", chunks{down("*1\r\n$65\r\n")}, question + "the name of the command is none, or longer than 64 bytes"},
		{"a long inline name", chunks{down(strings.Repeat("a", 65) + "\r\n")}, question + "the name of the command is longer than 64 bytes"},
		{"a name longer than it says", chunks{down("*1\r\n$3\r\nPING\r\n")}, question + "an argument is longer than it says"},
		{"an argument longer than it says", chunks{down("*2\r\n$3\r\nGET\r\n$1\r\nab\r\n")}, question + "an argument is longer than it says"},
		{"a negative length", chunks{down("*2\r\n$3\r\nGET\r\n$-1\r\n")}, question + "the length of a string is no number, or too large"},
		{"a length over the limit", chunks{down("*2\r\n$3\r\nGET\r\n$4294967297\r\n")}, question + "the length of a string is no number, or too large"},
		{"LF only", chunks{down("*1\n$4\nPING\n")}, question + "a line is empty or ends without CR"},
		{"a long line", chunks{down("*" + strings.Repeat("1", maxLine))}, question + "a line is longer than 65536 bytes"},
		{"a long inline command", chunks{down("SET " + strings.Repeat("1", maxLine))}, question + "a line is longer than 65536 bytes"},
		{"a quote that does not end", chunks{down("SET \"a\r\n")}, question + "a quote does not end"},
		{"cut in an argument", chunks{down("*1\r\n$4\r\nPI"), downEnd}, question + "the stream ends within a message"},
		{"cut after the name", chunks{down("*2\r\n$4\r\nPING\r\n"), downEnd}, question + "the stream ends within a message"},
		{"cut in a line", chunks{up("+O"), upEnd}, answer + "the stream ends within a message"},
		{"cut in an array", chunks{up("*1\r\n"), upEnd}, answer + "the stream ends within a message"},
		{"subscriptions within MULTI", chunks{down(send("MULTI") + send("SUBSCRIBE", "a"))}, question + "SUBSCRIBE within MULTI"},
		{"replies off within MULTI", chunks{down(send("MULTI") + send("CLIENT", "REPLY", "OFF"))}, question + "CLIENT REPLY within MULTI"},
		{"no type", chunks{up("HTTP/1.1 200 OK\r\n")}, answer + `no value begins with "HTTP/1.1 200 OK"`},
		{"an empty line", chunks{up("\r\n")}, answer + "a line is empty or ends without CR"},
		{"CR within a line", chunks{up("+a\rb\r\n")}, answer + `no value begins with "+a\rb"`},
		{"no integer", chunks{up(":1x\r\n")}, answer + `no value begins with ":1x"`},
		{"an empty integer", chunks{up(":-\r\n")}, answer + `no value begins with ":-"`},
		{"no boolean", chunks{up("#T\r\n")}, answer + `no value begins with "#T"`},
		{"no null", chunks{up("_x\r\n")}, answer + `no value begins with "_x"`},
		{"no double", chunks{up(",1x\r\n")}, answer + `no value begins with ",1x"`},
		{"a null of bytes", chunks{up("=-1\r\n")}, answer + "the length of a string is no number, or too large"},
		{"a null set", chunks{up("~-1\r\n")}, answer + "the number of values is none, or too large"},
		{"a string longer than it says", chunks{up("$1\r\nab\r\n")}, answer + "a string is longer than it says"},
		{"a streamed push", chunks{up(">?\r\n+a\r\n")}, answer + "the number of values is none, or too large"},
		{"a push within", chunks{up("*1\r\n>0\r\n")}, answer + "a push is within a value"},
		{"too many values", chunks{up("*4294967297\r\n")}, answer + "the number of values is none, or too large"},
		{"too deep", chunks{up(strings.Repeat("*1\r\n", maxDepth+1))}, answer + "more than 128 values are within each other"},
		{"an end without a beginning", chunks{up("*1\r\n.\r\n")}, answer + "a streamed value ends that did not begin"},
		{"something else in a streamed string", chunks{up("$?\r\n+a\r\n")}, answer + "a streamed string has something else than parts"},
		{"a long part", chunks{up("$?\r\n;4294967297\r\n")}, answer + "the length of a string is no number, or too large"},
		{"no count", chunks{down(send("SUBSCRIBE", "a")), up("*2\r\n$9\r\nsubscribe\r\n$1\r\na\r\n")}, answer + "what confirms a subscription has no count"},
		{
			"a channel that is too long",
			chunks{down(send("SUBSCRIBE", "a")), up("*3\r\n$9\r\nsubscribe\r\n$300000\r\n" + strings.Repeat("a", 300000))},
			answer + "what confirms a subscription is too long",
		},
		{
			"too many requests",
			chunks{down(strings.Repeat(send("SUBSCRIBE", "a"), maxWaiting+1))},
			question + "more than 8192 requests wait for an answer",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := framertest.AnyCut(t, create, row.chunks...)
			require.EqualError(t, err, row.want)
			require.NotErrorIs(t, err, protocol.ErrRaw)
		})
	}
}

// TestDepthLimit has as many values within each other as there may be.
func TestDepthLimit(t *testing.T) {
	list, err := framertest.Messages(t, create(), up(strings.Repeat("*1\r\n", maxDepth)+"_\r\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"push"}, framertest.Brief(list))
}

// TestAllocations has requests and answers like those before pass without an allocation.
func TestAllocations(t *testing.T) {
	question := []byte(send("GET", "k") + send("client", "info") + send("SET", "k", strings.Repeat("x", 20000)) + send("XREAD", "BLOCK", "5", "STREAMS", "a", "0"))
	answer := []byte("$20000\r\n" + strings.Repeat("x", 20000) + "\r\n-WRONGTYPE a\r\n+OK\r\n*2\r\n%1\r\n+a\r\n:1\r\n~1\r\n_\r\n>1\r\n+a\r\n")
	framertest.NoAllocations(t, create, question, answer, 1000, 40)
}

// FuzzFramer cuts any bytes, and holds messages against redcon: what it takes too must end where it ends here.
func FuzzFramer(f *testing.F) {
	f.Add([]byte(send("GET", "k")+"PING\r\n*0\r\n"), []byte("*2\r\n$-1\r\n%1\r\n+a\r\n|0\r\n,1\r\n"))
	f.Add([]byte(send("SUBSCRIBE", "a", "b")+send("CLIENT", "REPLY", "SKIP")), []byte(array("*", 1, "subscribe", "a")))
	f.Add([]byte(send("HELLO", "3")+send("MULTI")+send("BLPOP", "a", "0")), []byte("$?\r\n;1\r\na\r\n;0\r\n*?\r\n.\r\n!1\r\na\r\n"))
	f.Fuzz(func(t *testing.T, question, answer []byte) {
		list, _ := framertest.AnyCut(t, create, down(string(question)), up(string(answer)), downEnd, upEnd)
		for _, m := range list {
			switch {
			case m.Partial:
			case m.Kind != protocol.Request:
				if n, _ := redcon.ReadNextRESP([]byte(m.Bytes)); n > 0 && m.Bytes[0] != '*' {
					require.Equal(t, len(m.Bytes), n)
				}
			case m.Bytes[0] == '*':
				complete, _, _, rest, err := redcon.ReadNextCommand([]byte(m.Bytes), nil)
				require.True(t, err != nil || complete && len(rest) == 0 || m.Class == "", "%q", m.Bytes)
			}
		}
	})
}
