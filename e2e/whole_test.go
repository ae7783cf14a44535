package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
	"l4dump/strategy"
)

// TestWholeConnections records 200 connections without a limit: what was recorded is what was sent, to the byte.
func TestWholeConnections(t *testing.T) {
	t.Parallel()
	const maxBytes = 4 << 20
	onEach(t, func(t *testing.T, s subject) {
		service := startTalkingService(t)
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		p := start(t, s, c)

		all := map[string]talk{} // by the connection's identifier
		for i, conversation := range conversations {
			l := load{conversation: conversation, connections: []int{66, 67, 67}[i], maxBytes: maxBytes, seed: uint64(i)}
			talks := l.run(t, service, p.address(listenerName))
			d := p.waitForCloses(len(all) + len(talks))
			for source, talk := range talks {
				recorded := d.of(t, source)
				requireWhole(t, recorded, talk)
				require.Contains(t, conversation.by, recorded.closed.By, conversation.name)
				require.Equal(t, "connections", recorded.open.Unit)
				require.Equal(t, p.address(listenerName), recorded.open.Destination)
				require.Equal(t, p.port(listenerName), recorded.port)
				require.Len(t, recorded.windows, 1)
				recorded.streams = [2]stream{} // not to hold all of it
				all[recorded.id.String()] = talk
			}
		}
		p.stop()
		d := p.dump()
		require.Len(t, d.conns, 200)
		require.Equal(t, 200, d.closes)
		require.Equal(t, workers, d.vms())
		require.LessOrEqual(t, d.longest, 4096)
		requireDecoded(t, p.log, all)
	})
}

// TestUnitBytes records the bytes that pass while a window is open: both directions, or by default the client's.
func TestUnitBytes(t *testing.T) {
	t.Parallel()
	const both, byDefault = "both", "default"
	onEach(t, func(t *testing.T, s subject) {
		service := startTalkingService(t)
		c := newConfig(t, service.address(), plugins{
			both: pluginConfig(openStrategy(t),
				`{"directions": ["upstream", "downstream"], "max_bytes_per_second": 0, "max_lines_per_second": 0}`, `{}`),
			byDefault: pluginConfig(openStrategy(t), `{"max_bytes_per_second": 0, "max_lines_per_second": 0}`, `{}`),
		})
		p := start(t, s, c)

		l := load{conversation: conversations[0], connections: 20, maxBytes: 256 << 10, seed: 1}
		talks := l.run(t, service, p.address(both))
		// A connection without a byte has no record.
		d := p.waitForCloses(len(talks) - emptyTalks(talks))
		for source, talk := range talks {
			if talk.sent.length+talk.received.length == 0 {
				require.NotContains(t, d.bySource, source)
				continue
			}
			recorded := d.of(t, source)
			require.Equal(t, talk.sent, recorded.streams[record.Downstream].digest(t))
			require.Equal(t, talk.received, recorded.streams[record.Upstream].digest(t))
			require.Equal(t, record.Ledger{Seen: talk.sent.length, Kept: talk.sent.length}, recorded.closed.Downstream)
			require.Equal(t, record.Ledger{Seen: talk.received.length, Kept: talk.received.length}, recorded.closed.Upstream)
			require.Equal(t, "bytes", recorded.open.Unit)
			require.Equal(t, p.port(both), recorded.port)
		}
		closes := d.closes

		l.seed = 2
		talks = l.run(t, service, p.address(byDefault))
		silent := 0
		for _, talk := range talks {
			if talk.sent.length == 0 {
				silent++
			}
		}
		d = p.waitForCloses(closes + len(talks) - silent)
		for source, talk := range talks {
			if talk.sent.length == 0 {
				require.NotContains(t, d.bySource, source)
				continue
			}
			recorded := d.of(t, source)
			require.Equal(t, talk.sent, recorded.streams[record.Downstream].digest(t))
			require.Empty(t, recorded.streams[record.Upstream].chunks)
			require.Equal(t, record.Ledger{Seen: talk.sent.length, Kept: talk.sent.length}, recorded.closed.Downstream)
			require.Equal(t, ledger(talk.received.length, 0, strategy.OtherDirection), recorded.closed.Upstream)
		}
	})
}
