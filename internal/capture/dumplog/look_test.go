package dumplog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
)

func TestHint(t *testing.T) {
	const (
		configured = "configured: switch OFF, 20 s of every 60 s, unit bytes, guard proxy, digest 0011223344556677"
		plain      = "[2026-11-23 01:23:51.887][25111][info][main] [source/server/server.cc:404] initializing epoch 0"
	)
	for _, row := range []struct {
		name  string
		input string
		want  string
	}{
		{"nothing", "", "the input is empty"},
		{"blank", "\n \r\n", "the input is empty"},
		{"zeros", strings.Repeat("\x00", 100), "the input is empty"},
		{"configured", plain + "\n" + istio(configured), `the plugin said "configured: switch OFF, 20 s of every 60 s, unit bytes, guard proxy" and wrote no record`},
		{"configured, JSON", istioJSON(configured), `the plugin said "configured: switch OFF, 20 s of every 60 s, unit bytes, guard proxy" and`},
		{"stopped", istio(configured) + "\n" + istio("recording stops: CPU usage is at its limit"), `the plugin said "recording stops: CPU usage is at its limit" and`},
		{"another plugin", plain + "\n" + envoyPrefix + "blocked 3 requests", "the input is a proxy's log with lines of plugins, but none"},
		{"Envoy", plain, "the input is a proxy's log without a line of a plugin"},
		{"Istio", "2026-11-23T01:23:51.887000Z\tinfo\tenvoy main x\tstarted\tthread=1", "the input is a proxy's log without a line of a plugin"},
		{"bootstrap", "# comment\nadmin: {}\nstatic_resources:\n  listeners: []\n", "the input looks like a configuration"},
		{"bootstrap as JSON", `{"admin": {}, "static_resources": {}}`, "the input looks like a configuration"},
		{"config dump", `{"configs": [{}]}`, "the input looks like a configuration"},
		{"manifest", "---\napiVersion: networking.istio.io/v1alpha3\n", "the input looks like a configuration"},
		{"manifest in UTF-16", unicode16("apiVersion: v1\n", false, true), "the input looks like a configuration"},
		{"program", "\x7fELF\x02\x01\x01\x00\x00\x03", "the input is binary"},
		{"a line", "hello", "the input is 1 line of text that no proxy wrote"},
		{"lines", "hello\nworld\n", "the input is 2 lines of text that no proxy wrote"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var l looking
			s := NewScanner(&l)
			require.NoError(t, s.Begin("log"))
			require.NoError(t, s.Write([]byte(row.input)))
			require.NoError(t, s.End())
			require.Truef(t, strings.HasPrefix(l.Hint(), row.want), "%s", l.Hint())
		})
	}
}

// looking is a Handler with a Look.
type looking struct {
	counter
	Look
}

func (l *looking) Text(line []byte, _ capture.Place) error {
	l.Line(line)
	return nil
}
