package framed

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/docs"
	"l4dump/internal/capture"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framertest"
)

// TestExample has the description in docs/PROTOCOLS.md cut the bytes beside it into the messages that it says.
func TestExample(t *testing.T) {
	text, err := docs.Section("PROTOCOLS.md", "## Describe a protocol")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```(yaml)?\n(.*?)```").FindAllStringSubmatch(text, -1)
	require.Len(t, blocks, 3)
	p, err := Parse("cql.yaml", []byte(blocks[0][2]))
	require.NoError(t, err)

	var chunks []framertest.Chunk
	var want []string
	line := regexp.MustCompile(`^(downstream|upstream) +((?:[0-9a-f]{2} )+) +(.*)$`)
	for said := range strings.Lines(blocks[1][2]) {
		parts := line.FindStringSubmatch(strings.TrimSpace(said))
		require.NotNil(t, parts, said)
		b, err := hex.DecodeString(strings.ReplaceAll(parts[2], " ", ""))
		require.NoError(t, err)
		d := capture.Downstream
		if parts[1] == "upstream" {
			d = capture.Upstream
		}
		chunks = append(chunks, framertest.Chunk{Direction: d, Bytes: string(b)})
		what, _, _ := strings.Cut(parts[3], ":")
		want = append(want, what)
	}
	list, err := framertest.AnyCut(t, p.NewFramer, chunks...)
	require.NoError(t, err)
	var got []string
	for _, m := range list {
		what := m.Kind.String()
		if m.Class != "" {
			what += " " + m.Class
		}
		if m.Failed {
			what += ", failed"
		}
		if m.HasID {
			what += fmt.Sprintf(", id %d", m.ID)
		}
		got = append(got, what)
	}
	require.Equal(t, want, got)

	_, err = Parse("lines.yaml", []byte("name: a\n"+blocks[2][2]))
	require.NoError(t, err)
	_, err = Parse("my.yaml", []byte("name: a\n\nlength: {offset: 0, bytes: 9}\n"))
	require.Contains(t, text, "`"+err.Error()+"`")
}

// TestKeys has each key of a description in docs/PROTOCOLS.md, and no other.
func TestKeys(t *testing.T) {
	text, err := docs.Section("PROTOCOLS.md", "## Describe a protocol")
	require.NoError(t, err)
	var said []string
	for _, row := range docs.Rows(text) {
		said = append(said, docs.Codes(row[0])...)
	}
	slices.Sort(said)
	want := slices.Concat(documentKeys, numberKeys(), conditionKeys, lengthKeys, ruleKeys)
	slices.Sort(want)
	require.Equal(t, want, said)
}

// TestProtocols has each protocol in docs/PROTOCOLS.md.
func TestProtocols(t *testing.T) {
	text, err := docs.Section("PROTOCOLS.md", "# Protocols")
	require.NoError(t, err)
	var said []string
	for _, row := range docs.Rows(text) {
		said = append(said, docs.Codes(row[0])...)
	}
	for _, p := range append(Builtin(), protocol.Raw) {
		require.Contains(t, said, p.Name())
	}
}
