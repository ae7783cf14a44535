package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// secrets must not be seen, in any form: what each mask below is for.
const (
	patternSecret = "correct-horse-battery"
	binarySecret  = "\x00\xff\x00\xfe\x07"
	headerSecret  = "Bearer eyJhbGciOiJub25lIn0"
	cookieSecret  = "q7Zk=5f1d7a84db00"
	cardSecret    = "4111 1111 1111 1111"
)

// TestSelectionAndMasks has connections of which some are selected, by their addresses and first bytes, and all hold what
// must not be seen: in one read and over two. Who is selected is recorded from byte 0, and no secret stands in the log.
func TestSelectionAndMasks(t *testing.T) {
	t.Parallel()
	const masks = `"mask": {"patterns": ["` + patternSecret + `"], "hex_patterns": ["00ff00fe07"], "http_headers": true, "card_numbers": true}`
	configs := map[string]string{
		"match":     `{"unit": "connections", "match": {"first_bytes": ["474554", "48454144"], "destinations": ["127.0.0.0/8"]}, ` + masks + `}`,
		"except":    `{"unit": "connections", "except": {"first_bytes": ["505554"]}, ` + masks + `}`,
		"elsewhere": `{"unit": "connections", "match": {"sources": ["10.0.0.0/8", "fd00::/8"]}, ` + masks + `}`,
		"windows":   `{"unit": "bytes", "directions": ["downstream", "upstream"], "match": {"first_bytes": ["474554"]}, ` + masks + `}`,
	}
	listeners := plugins{}
	for name, capture := range configs {
		listeners[name] = pluginConfig(openStrategy(t), capture, `{}`)
	}
	listeners["layotto"] = pluginConfig(openStrategy(t), configs["windows"], `{"format": "layotto"}`)
	selected := map[string]string{"match": "GET", "except": "GET", "windows": "GET", "layotto": "GET"}

	// Each part is one read of the plugin: the next one is sent when its echo has come.
	parts := func(method string) []string {
		return []string{
			method[:1], method[1:2], method[2:] + " / HTTP/1.1\r\nHost: a\r\nAuthorization: " + headerSecret[:10],
			headerSecret[10:] + "\r\nCookie:" + cookieSecret + "\r\nAccept: */*\r\n\r\n", "plain " + patternSecret + ", " + patternSecret[:9],
			patternSecret[9:] + " and " + binarySecret[:2], binarySecret[2:] + " or " + cardSecret[:12], cardSecret[12:] + ". " + method,
		}
	}
	sent := func(method string) string { return strings.Join(parts(method), "") }
	masked := strings.NewReplacer(
		patternSecret, stars(patternSecret), binarySecret, stars(binarySecret), headerSecret, stars(headerSecret),
		cookieSecret, stars(cookieSecret), cardSecret, stars(cardSecret),
	)
	onEach(t, func(t *testing.T, s subject) {
		p := start(t, s, newConfig(t, startService(t, echo).address(), listeners))
		recorded := map[string]string{} // listeners by the clients' addresses
		var seen, left uint64           // bytes of those that are left out
		for listener := range listeners {
			for _, method := range []string{"GET", "PUT"} {
				c := dial(t, p.address(listener))
				for _, part := range parts(method) {
					c.exchange([]byte(part))
				}
				c.finish()
				switch {
				case selected[listener] != method:
					left++
					seen += 2 * uint64(len(sent(method)))
				case listener != "layotto":
					recorded[c.source()] = listener
				}
			}
		}
		p.waitForMetric("l4dump_connections_dropped_not_selected_total", left)
		p.waitForMetric("l4dump_bytes_dropped_not_selected_total", seen)
		p.waitForMetric("l4dump_connections_kept_total", uint64(len(recorded)+1))
		p.waitForCloses(len(recorded))
		p.stop()

		want := masked.Replace(sent("GET"))
		hidden := uint64(strings.Count(want, "*") - strings.Count(sent("GET"), "*"))
		ledger := record.Ledger{Seen: uint64(len(want)), Kept: uint64(len(want)), Masked: hidden}
		d := p.dump()
		require.Len(t, d.conns, len(recorded))
		for source, listener := range recorded {
			c := d.of(t, source)
			require.Equal(t, p.port(listener), c.port)
			require.Equal(t, ledger, c.closed.Downstream, listener)
			require.Equal(t, ledger, c.closed.Upstream, listener)
			for direction := range c.streams {
				require.Equal(t, want, string(c.streams[direction].bytes(t, 0)), listener)
			}
		}
		requireMaskedSums(t, decode(t, p.log, "--format", "json", "--strict"), len(recorded), hidden)
		require.Contains(t, decode(t, p.log), ", masked ")
		requireHidden(t, p.log)
	})
}

func stars(secret string) string { return strings.Repeat("*", len(secret)) }

// requireMaskedSums requires that decode says of each direction of so many connections how many bytes were masked: in the
// close record, and the same in the data records together.
func requireMaskedSums(t *testing.T, decoded string, connections int, hidden uint64) {
	t.Helper()
	type direction struct{ conn, name string }
	inData, inClose := map[direction]uint64{}, map[direction]uint64{}
	for line := range strings.Lines(decoded) {
		var r struct {
			Kind       string `json:"kind"`
			Conn       string `json:"conn"`
			Direction  string `json:"direction"`
			Masked     uint64 `json:"masked"`
			Downstream struct{ Masked uint64 }
			Upstream   struct{ Masked uint64 }
		}
		if json.Unmarshal([]byte(line), &r) != nil {
			continue // the summary
		}
		switch r.Kind {
		case "data":
			inData[direction{r.Conn, r.Direction}] += r.Masked
		case "close":
			inClose[direction{r.Conn, "downstream"}] = r.Downstream.Masked
			inClose[direction{r.Conn, "upstream"}] = r.Upstream.Masked
		}
	}
	require.Len(t, inClose, 2*connections)
	require.Equal(t, inClose, inData)
	for of, n := range inClose {
		require.Equal(t, hidden, n, of)
	}
}

// requireHidden requires that no six bytes of a secret stand in a log: as they are, in hex digits with or without spaces
// between, or in base64.
func requireHidden(t *testing.T, log string) {
	t.Helper()
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(text), hex.EncodeToString([]byte("Accept: ")), "what is not secret is there")
	for _, secret := range []string{patternSecret, binarySecret, headerSecret, cookieSecret, cardSecret} {
		length := min(6, len(secret))
		for at := range len(secret) - length + 1 {
			piece := secret[at : at+length]
			for _, form := range []string{
				piece, fmt.Sprintf("%x", piece), fmt.Sprintf("% x", piece), base64.RawStdEncoding.EncodeToString([]byte(piece)),
			} {
				require.False(t, bytes.Contains(text, []byte(form)), form)
			}
		}
	}
}
