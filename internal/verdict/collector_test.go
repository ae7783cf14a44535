package verdict_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/capture"
	"l4dump/internal/chaos"
	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	. "l4dump/internal/verdict"
	"l4dump/internal/verdict/difference"
	"l4dump/internal/verdict/noise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	down = capture.Downstream
	up   = capture.Upstream
)

// conversation records a connection: a client's bytes and the server's in turn; empty ones are left out.
func conversation(number uint64, turns ...string) *playbooktest.Client {
	c := playbooktest.NewClient(number).Open()
	for i, bytes := range turns {
		if bytes != "" {
			c.Data([]capture.Direction{down, up}[i%2], bytes)
		}
	}
	return c.Close("downstream")
}

func compile(t *testing.T, protocols []protocol.Protocol, clients ...*playbooktest.Client) *playbook.Playbook {
	t.Helper()
	var all []capture.Source
	for _, c := range clients {
		all = append(all, c.Events)
	}
	book, err := playbooktest.Compile(playbook.Options{Detector: &protocol.Detector{Protocols: protocols}}, all...)
	require.NoError(t, err)
	require.Empty(t, book.Refused)
	t.Cleanup(func() { require.NoError(t, book.Close()) })
	return book
}

// service answers each line by what it begins with; a line without an answer ends the connection.
func service(t *testing.T, pairs ...string) replay.Target {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		for in := bufio.NewScanner(conn); in.Scan(); {
			answer := ""
			for i := 0; i < len(pairs); i += 2 {
				if strings.HasPrefix(in.Text(), pairs[i]) {
					answer = pairs[i+1]
				}
			}
			if answer == "" {
				return
			}
			if _, err := conn.Write([]byte(answer)); err != nil {
				return
			}
		}
	})
}

func serve(t *testing.T, handle func(net.Conn)) replay.Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return target(listener.Addr().String())
}

func target(address string) replay.Target {
	return replay.Target{Name: address, Dial: func(ctx context.Context, _ *playbook.Info) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}}
}

// altered is a target that is reached through a proxy.
func altered(t *testing.T, to replay.Target, a chaos.Alteration) replay.Target {
	t.Helper()
	p, err := chaos.Start(to.Name, chaos.Server(a))
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return target(p.Address())
}

// compare plays book to targets: one is compared with the recording, the second of two with the first.
func compare(t *testing.T, book *playbook.Playbook, options Options, targets ...replay.Target) *Results {
	t.Helper()
	options.Baseline = len(targets) == 2
	options.Protocol = lines{}.byName
	c := NewCollector(options)
	p := replay.NewPlayer(book, targets, replay.Options{
		Observer: c, Protocols: []protocol.Protocol{lines{}}, Connections: 8,
	})
	require.NoError(t, p.Run(t.Context()))
	r := c.Results()
	var sum Counts
	for i := range r.Classes {
		sum.Selected += r.Classes[i].Selected
	}
	require.Equal(t, book.Totals.Turns, sum.Selected, "each turn is in one of the numbers")
	return r
}

// told is a finding without its examples.
type told struct {
	class string
	kind  difference.Kind
	path  string
	turns uint64
	of    uint64 // connections
}

func findings(r *Results) (all []told) {
	for _, f := range r.Findings {
		all = append(all, told{f.Class, f.Kind, f.Path, f.Turns, f.Connections})
	}
	return all
}

func TestCompareMessages(t *testing.T) {
	recorded := func(n uint64) *playbooktest.Client {
		return conversation(n, "get a\n", "id=1 name=x\n", "get b\n", "id=2 name=y\n", "del\n", "-ERR no such thing\n")
	}
	for _, row := range []struct {
		name    string
		answers []string
		counts  Counts
		want    []told
		outcome Outcome
	}{
		{
			"the same",
			[]string{"get a", "id=1 name=x\n", "get b", "id=2 name=y\n", "del", "-ERR no such thing\n"},
			Counts{Selected: 6, Equal: 6},
			nil, Same,
		},
		{
			"another order of fields",
			[]string{"get a", "name=x id=1\n", "get b", "id=2 name=y\n", "del", "-ERR no such thing\n"},
			Counts{Selected: 6, Equal: 6},
			nil, Same,
		},
		{
			"a value",
			[]string{"get a", "id=1 name=x\n", "get b", "id=2 name=z\n", "del", "-ERR no such thing\n"},
			Counts{Selected: 6, Equal: 4, Different: 2},
			[]told{{"get", difference.Value, "value:$.name", 2, 2}},
			Changed,
		},
		{
			"a field more and one less",
			[]string{"get a", "id=1 nick=x\n", "get b", "id=2 name=y\n", "del", "-ERR no such thing\n"},
			Counts{Selected: 6, Equal: 4, Different: 2},
			[]told{
				{"get", difference.Added, "value:$.nick", 2, 2}, {"get", difference.Removed, "value:$.name", 2, 2},
			},
			Changed,
		},
		{
			"an error",
			[]string{"get a", "-ERR\n", "get b", "id=2 name=y\n", "del", "-ERR no such thing\n"},
			Counts{Selected: 6, Equal: 4, Different: 2},
			[]told{
				{"get", difference.NewError, "", 2, 2}, {"get", difference.Type, "value", 2, 2},
			},
			Changed,
		},
		{
			"no error",
			[]string{"get a", "id=1 name=x\n", "get b", "id=2 name=y\n", "del", "ok\n"},
			Counts{Selected: 6, Equal: 4, Different: 2},
			[]told{
				{"del", difference.NoError, "", 2, 2}, {"del", difference.Type, "value", 2, 2},
			},
			Changed,
		},
		{
			"an error in other words",
			[]string{"get a", "id=1 name=x\n", "get b", "id=2 name=y\n", "del", "-ERR gone\n"},
			Counts{Selected: 6, Equal: 4, Different: 2},
			[]told{{"del", difference.ErrorText, "value", 2, 2}},
			Changed,
		},
		{
			"an end within the connection",
			[]string{"get a", "id=1 name=x\n"},
			Counts{Selected: 6, Equal: 2, Different: 2, NotReplayed: 2},
			[]told{{"get", difference.NoAnswer, "", 2, 2}},
			Changed,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, []protocol.Protocol{lines{}}, recorded(1), recorded(2))
			for name, targets := range map[string][]replay.Target{
				"recording": {service(t, row.answers...)},
				"baseline":  {service(t, "get a", "id=1 name=x\n", "get b", "id=2 name=y\n", "del", "-ERR no such thing\n"), service(t, row.answers...)},
			} {
				t.Run(name, func(t *testing.T) {
					r := compare(t, book, Options{}, targets...)
					require.Equal(t, row.counts, r.Turns)
					require.Equal(t, row.want, findings(r))
					require.Equal(t, row.outcome, r.Judge(DefaultLimits(), nil).Outcome)
				})
			}
		})
	}
}

// TestEachFlipIsFound alters one byte of the answers at every offset: it is found at its byte, in its turn, and other
// segments are no difference.
func TestEachFlipIsFound(t *testing.T) {
	book := compile(t, nil, conversation(1, "a\n", "alpha\n", "b\n", "beta\n"))
	same := service(t, "a", "alpha\n", "b", "beta\n")
	all := "alpha\nbeta\n"
	for at := range all {
		r := compare(t, book, Options{}, altered(t, same, chaos.Alteration{Kind: chaos.Flip, Offset: int64(at), Length: 1}))
		turn, offset := 0, at
		if at >= len("alpha\n") {
			turn, offset = 1, at-len("alpha\n")
		}
		require.Equal(t, Counts{Selected: 2, Equal: 1, Different: 1}, r.Turns, at)
		require.Len(t, r.Findings, 1, at)
		f := r.Findings[0]
		require.Equal(t, difference.Value, f.Kind)
		require.Equal(t, turn, f.Examples[0].Turn, at)
		require.Equal(t, offset, f.Examples[0].Offset, at)
		require.Equal(t, capture.ID{VM: 7, Number: 1}, f.Examples[0].Connection)
	}
	r := compare(t, book, Options{}, altered(t, same, chaos.Alteration{Kind: chaos.Resegment, Length: 2, Seed: 1}))
	require.Equal(t, Counts{Selected: 2, Equal: 2}, r.Turns)
	require.Equal(t, Judgment{Outcome: Same}, r.Judge(DefaultLimits(), nil))
}

// TestFirstDivergence has bytes that differ in their length: what differs after it may follow from it.
func TestFirstDivergence(t *testing.T) {
	book := compile(t, nil, conversation(1, "a\n", "alpha\n", "b\n", "beta\n", "c\n", "gamma\n"))
	r := compare(t, book, Options{}, service(t, "a", "alphabet\n", "b", "better\n", "c", "gamma\n"))
	require.Equal(t, Counts{Selected: 3, Equal: 1, Different: 1, Dependent: 1}, r.Turns)
	require.Equal(t, []told{{"", difference.Value, "bytes", 1, 1}}, findings(r))
}

func TestLongAnswers(t *testing.T) {
	long := strings.Repeat("0123456789abcde\n", 20<<20/16)
	answer := func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			_, _ = conn.Write([]byte(long))
			_, _ = conn.Read(make([]byte, 1))
		}
	}
	book := compile(t, nil, conversation(1, "a", long))
	same := serve(t, answer)
	const at = 15<<20 + 7
	for _, row := range []struct {
		name       string
		alteration chaos.Alteration
		counts     Counts
		offset     int
	}{
		{"equal", chaos.Alteration{}, Counts{Selected: 1, Equal: 1}, 0},
		{"a byte", chaos.Alteration{Kind: chaos.Flip, Offset: at, Length: 1}, Counts{Selected: 1, Different: 1}, 15 << 20},
		{"longer", chaos.Alteration{Kind: chaos.Duplicate, Offset: at, Length: 1}, Counts{Selected: 1, Different: 1}, 15 << 20},
	} {
		t.Run(row.name, func(t *testing.T) {
			for name, targets := range map[string][]replay.Target{
				"recording": {altered(t, same, row.alteration)},
				"baseline":  {same, altered(t, same, row.alteration)},
			} {
				t.Run(name, func(t *testing.T) {
					r := compare(t, book, Options{}, targets...)
					require.Equal(t, row.counts, r.Turns)
					if row.counts.Different > 0 {
						require.Equal(t, row.offset, r.Findings[0].Examples[0].Offset)
					}
				})
			}
		})
	}
}

func TestNoise(t *testing.T) {
	book := compile(t, []protocol.Protocol{lines{}}, conversation(1, "get\n", "id=17 name=abcdefghijklmnopqrstuvwxyz\n"))
	options := Options{Noise: noise.NewSet(noise.Rule{Path: "value:$.id", Form: "integer", Reason: "counts"})}
	for _, row := range []struct {
		name   string
		answer string
		counts Counts
	}{
		{"equal", "id=17 name=abcdefghijklmnopqrstuvwxyz\n", Counts{Selected: 1, Equal: 1}},
		{"noise", "id=18 name=abcdefghijklmnopqrstuvwxyz\n", Counts{Selected: 1, Masked: 1}},
		{"noise of another shape", "id=no name=abcdefghijklmnopqrstuvwxyz\n", Counts{Selected: 1, Different: 1}},
		{"noise and more", "id=18 name=abc\n", Counts{Selected: 1, Different: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := compare(t, book, options, service(t, "get", row.answer))
			require.Equal(t, row.counts, r.Turns)
			if row.counts.Masked > 0 {
				require.Equal(t, uint64(2), r.Classes[0].MaskedBytes)
				require.Equal(t, Judgment{Outcome: Same}, r.Judge(DefaultLimits(), nil))
			}
		})
	}
}

// TestLearn learns of a service that draws a number for each answer, which is then none of its differences.
func TestLearn(t *testing.T) {
	var mu sync.Mutex
	drawn := 100
	service := serve(t, func(conn net.Conn) {
		for in := bufio.NewScanner(conn); in.Scan(); {
			mu.Lock()
			drawn++
			answer := []byte("id=" + string(rune('a'+drawn%20)) + " name=abcdefghijklmnopqrstuvwxyz\n")
			mu.Unlock()
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	})
	var clients []*playbooktest.Client
	for n := range uint64(8) {
		clients = append(clients, conversation(n+1, "get\n", "id=z name=abcdefghijklmnopqrstuvwxyz\n"))
	}
	book := compile(t, []protocol.Protocol{lines{}}, clients...)
	var learner noise.Learner
	r := compare(t, book, Options{Learner: &learner}, service, service)
	require.Equal(t, Counts{Selected: 8, Different: 8}, r.Turns)
	rules, _ := learner.Rules()
	require.Len(t, rules, 1)
	require.Equal(t, "value:$.id", rules[0].Path)

	var none noise.Learner
	r = compare(t, book, Options{Noise: noise.NewSet(rules...), Learner: &none}, service, service)
	known, _ := none.Rules()
	require.Empty(t, known, "what is noise already is not learned again")
	require.Equal(t, Counts{Selected: 8, Masked: 8}, r.Turns)
	require.Equal(t, Same, r.Judge(DefaultLimits(), nil).Outcome)
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	book := compile(t, nil, conversation(1, "a\n", "b\n"))
	r := compare(t, book, Options{}, target(listener.Addr().String()))
	require.Equal(t, Counts{Selected: 1, NotReplayed: 1}, r.Turns)
	require.Equal(t, Failed, r.Judge(DefaultLimits(), nil).Outcome)
}

// TestEnding has targets that end a connection otherwise than was recorded.
func TestEnding(t *testing.T) {
	serverEnds := playbooktest.NewClient(1).Open().Data(down, "a\n").Data(up, "alpha\n").End(up).Close("upstream")
	stays := service(t, "a", "alpha\n")
	ends := serve(t, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 2)); err == nil {
			_, _ = conn.Write([]byte("alpha\n"))
		}
	})
	for _, row := range []struct {
		name   string
		target replay.Target
		want   []told
	}{
		{"as recorded", ends, nil},
		{"it stays open", stays, []told{{"", difference.Ending, "", 1, 1}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			book := compile(t, nil, serverEnds)
			r := compare(t, book, Options{}, row.target)
			require.Equal(t, Counts{Selected: 1, Equal: 1}, r.Turns)
			require.Equal(t, row.want, findings(r))
			require.Empty(t, findings(compare(t, book, Options{}, row.target, row.target)), "as the baseline")
		})
	}
}

// TestEndingAfterHalfClose has a client that ends its stream, and a target that ends its own before the player closes.
func TestEndingAfterHalfClose(t *testing.T) {
	for _, row := range []struct {
		name   string
		client *playbooktest.Client
		want   []told
	}{
		{"the client closes", playbooktest.NewClient(1).Open().Data(down, "a\n").Data(up, "alpha\n").Close("downstream"), nil},
		{"the client closes after the service", playbooktest.NewClient(1).Open().Data(down, "a\n").Data(up, "alpha\n").End(up).Close("downstream"), nil},
		{"the client ends its stream", playbooktest.NewClient(1).Open().Data(down, "a\n").Data(up, "alpha\n").End(down).Close("downstream"), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			script, err := compile(t, nil, row.client).Script(0)
			require.NoError(t, err)
			c := NewCollector(Options{Protocol: func(string) protocol.Protocol { return nil }})
			c.Begin(&replay.Connection{Script: script}).End(&replay.End{How: replay.Finished, By: "upstream", TargetEnded: true})
			require.Equal(t, row.want, findings(c.Results()))
		})
	}
}
