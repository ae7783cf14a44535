package verdict_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook/playbooktest"
	"l4dump/internal/protocol"
	"l4dump/internal/replay"
	. "l4dump/internal/verdict"
	"l4dump/internal/verdict/difference"
	"l4dump/internal/verdict/noise"
)

// TestUnasked has bytes that answer nothing.
func TestUnasked(t *testing.T) {
	known := []protocol.Protocol{lines{}}
	for _, row := range []struct {
		name           string
		protocols      []protocol.Protocol
		pushed         string // in the recording
		baseline, came string
		how            replay.How
		recording      []told // what is found against the recording, and against the baseline
		against        []told
	}{
		{"nothing", known, "", "", "", replay.Finished, nil, nil},
		{"pushes", known, "", "+a=1\n+a=2\n", "+a=1\n+a=2\n", replay.Finished, nil, nil},
		{"pushes in another order", known, "", "+a=1\n+a=2\n", "+a=2\n+a=1\n", replay.Finished, nil, nil},
		{
			"a push more", known, "", "+a=1\n", "+a=1\n+a=1\n", replay.Finished, nil,
			[]told{{"get", difference.Added, "unasked:$[*]", 1, 1}},
		},
		{
			"a push less", known, "", "+a=1\n+a=1\n", "+a=1\n", replay.Finished, nil,
			[]told{{"get", difference.Removed, "unasked:$[*]", 1, 1}},
		},
		{
			"another push", known, "", "+a=1\n+b=1\n", "+b=1\n+a=2\n", replay.Finished, nil,
			[]told{{"get", difference.Value, "unasked:$[*].value.{}", 1, 1}},
		},
		{"of a connection that was cut off", known, "", "+a=1\n", "", replay.Stopped, nil, nil},
		{
			"bytes of no message", known, "", "", "+a=1\nx", replay.Finished,
			[]told{{"get", difference.Length, "unasked", 1, 1}},
			[]told{{"get", difference.Length, "unasked", 1, 1}},
		},
		{
			"an answer to nothing", known, "", "", "+a=1\na=1\n", replay.Finished,
			[]told{{"get", difference.Added, "unasked:$[*]", 1, 1}},
			[]told{{"get", difference.Added, "unasked:$[*]", 1, 1}},
		},
		{
			"an answer to nothing, beside pushes that were recorded", known, "+a=1\n", "", "a=1\n", replay.Finished, nil,
			[]told{{"get", difference.Added, "unasked:$[*]", 1, 1}},
		},
		{
			"without a protocol", nil, "", "", "x", replay.Finished,
			[]told{{"", difference.Length, "unasked", 1, 1}},
			[]told{{"", difference.Length, "unasked", 1, 1}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := playbooktest.NewClient(1).Open().Data(down, "get\n").Data(up, "id=1\n")
			if row.pushed != "" {
				client.Data(up, row.pushed)
			}
			book := compile(t, row.protocols, client.Close("downstream"))
			for baseline, want := range map[bool][]told{false: row.recording, true: row.against} {
				c := NewCollector(Options{Baseline: baseline, Protocol: lines{}.byName})
				e := observe(t, c, book)
				end := func(target int, how replay.How, unasked string) {
					e.turn(target, 0, "id=1\n")
					e.to.End(&replay.End{Target: target, How: how, By: "downstream", Unasked: replay.Answer{
						Bytes: []byte(unasked), Length: uint64(len(unasked)),
					}})
				}
				target := 0
				if baseline {
					end(0, replay.Finished, row.baseline)
					target = 1
				}
				end(target, row.how, row.came)
				require.Equal(t, want, findings(c.Results()), "baseline: %t", baseline)
				require.Equal(t, Counts{Selected: 1, Equal: 1}, c.Results().Turns)
			}
		})
	}
}

// TestUnaskedNoise learns what a service pushes at one time and not at another.
func TestUnaskedNoise(t *testing.T) {
	book := compile(t, []protocol.Protocol{lines{}}, conversation(1, "get\n", "id=1\n"))
	var learner noise.Learner
	run := func(options Options) *Results {
		options.Baseline, options.Protocol = true, lines{}.byName
		c := NewCollector(options)
		e := observe(t, c, book)
		for target, pushed := range []string{"+a=1\n", ""} {
			e.turn(target, 0, "id=1\n")
			e.to.End(&replay.End{Target: target, By: "downstream", Unasked: replay.Answer{Bytes: []byte(pushed), Length: uint64(len(pushed))}})
		}
		return c.Results()
	}
	require.Len(t, run(Options{Learner: &learner}).Findings, 1)
	rules, _ := learner.Rules()
	require.Empty(t, run(Options{Noise: noise.NewSet(rules...)}).Findings)
}

// TestMoreThanAsked has a target that sends more after its last answer.
func TestMoreThanAsked(t *testing.T) {
	client := playbooktest.NewClient(1).Open().Data(down, "get\n").Data(up, "id=1\n").End(up).Close("upstream")
	book := compile(t, []protocol.Protocol{lines{}}, client)
	sending := func(answer string) replay.Target {
		return serve(t, func(conn net.Conn) {
			if _, err := conn.Read(make([]byte, 4)); err == nil {
				_, _ = conn.Write([]byte(answer))
			}
		})
	}
	same, more := sending("id=1\n"), sending("id=1\nid=2\n")
	require.Empty(t, findings(compare(t, book, Options{}, same)))
	require.Empty(t, findings(compare(t, book, Options{}, same, same)))
	require.NotEmpty(t, findings(compare(t, book, Options{}, more)))
	require.NotEmpty(t, findings(compare(t, book, Options{}, same, more)))
}
