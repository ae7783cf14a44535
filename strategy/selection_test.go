package strategy

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// parseSelection reads the keys match and except of a configuration.
func parseSelection(t *testing.T, text string) Selection {
	t.Helper()
	config, err := Parse([]byte(`{"capture":{` + text + `}}`))
	require.NoError(t, err)
	return config.Capture.Selection
}

func TestSelection(t *testing.T) {
	born := Subject{Source: "10.1.2.3:40000", Destination: "192.168.0.1:6379", Direction: "inbound"}
	named, first, six := born, born, born
	named.Identified, named.SNI, named.Peer = true, "db.example", "spiffe://cluster.local/ns/a/sa/b"
	first.First = []byte("GET /")
	six.Source, six.Destination = "[2001:db8::1]:40000", "[::ffff:192.168.0.1]:443"
	socket := Subject{Source: "/tmp/socket", Destination: "envoy://internal/a"}
	final := first
	final.First, final.Final = []byte("GE"), true
	begun := first
	begun.First = []byte("GE")

	for _, row := range []struct {
		name      string
		selection string
		about     Subject
		want      Verdict
	}{
		{"nothing asked", ``, born, Selected},
		{"port", `"match":{"ports":[80,6379]}`, born, Selected},
		{"another port", `"match":{"ports":[80]}`, born, Unselected},
		{"port of a socket", `"match":{"ports":[80]}`, socket, Unselected},
		{"except a port", `"except":{"ports":[6379]}`, born, Unselected},
		{"except another port", `"except":{"ports":[80]}`, born, Selected},
		{"except wins", `"match":{"ports":[6379]},"except":{"sources":["10.1.2.3"]}`, born, Unselected},
		{"source", `"match":{"sources":["172.16.0.0/12","10.0.0.0/8"]}`, born, Selected},
		{"another source", `"match":{"sources":["10.2.0.0/16"]}`, born, Unselected},
		{"last bit of a block", `"match":{"sources":["10.1.2.2/31"]}`, born, Selected},
		{"beside a block", `"match":{"sources":["10.1.2.4/31"]}`, born, Unselected},
		{"every IPv4 address", `"match":{"sources":["0.0.0.0/0"]}`, born, Selected},
		{"no IPv4 address", `"match":{"sources":["0.0.0.0/0"]}`, six, Unselected},
		{"every address", `"match":{"sources":["::/0"]}`, born, Selected},
		{"source of a socket", `"match":{"sources":["::/0"]}`, socket, Unselected},
		{"IPv6", `"match":{"sources":["2001:db8::/32"]}`, six, Selected},
		{"mapped", `"match":{"destinations":["192.168.0.0/24"]}`, six, Selected},
		{"and-ed", `"match":{"ports":[6379],"destinations":["192.168.1.0/24"]}`, born, Unselected},
		{"direction", `"match":{"directions":["inbound"]}`, born, Selected},
		{"another direction", `"match":{"directions":["outbound"]}`, born, Unselected},
		{"unknown direction", `"match":{"directions":["inbound"]}`, socket, Unselected},

		{"name not known yet", `"match":{"sni":["*.example"]}`, born, Undecided},
		{"name", `"match":{"sni":["*.example"]}`, named, Selected},
		{"another name", `"match":{"sni":["example"]}`, named, Unselected},
		{"no name", `"match":{"sni":["*"]}`, Subject{Identified: true}, Unselected},
		{"peer", `"match":{"peers":["spiffe://cluster.local/ns/a/*"]}`, named, Selected},
		{"decided without the name", `"match":{"sni":["*"],"ports":[1]}`, born, Unselected},
		{"except not known yet", `"except":{"sni":["*"]}`, born, Undecided},

		{"first bytes", `"match":{"first_bytes":["504f5354","474554"]}`, first, Selected},
		{"other first bytes", `"match":{"first_bytes":["504f5354"]}`, first, Unselected},
		{"no first bytes yet", `"match":{"first_bytes":["474554"]}`, born, Undecided},
		{"too few yet", `"match":{"first_bytes":["474554"]}`, begun, Undecided},
		{"too few for good", `"match":{"first_bytes":["474554"]}`, final, Unselected},
	} {
		t.Run(row.name, func(t *testing.T) {
			selection := parseSelection(t, row.selection)
			require.Equal(t, row.want, selection.Decide(&row.about))
			require.Equal(t, row.selection == "", selection.Empty())
		})
	}
	both := parseSelection(t, `"match":{"first_bytes":["4745"]},"except":{"first_bytes":["474554"]}`)
	require.Equal(t, 3, both.NeededBytes())
}

func TestSelectionFaults(t *testing.T) {
	const (
		prefix  = `: want an IP address or a block such as "10.0.0.0/8", got `
		pattern = `: want a text of 1 to 256 bytes, with at most one "*", first or last, got `
		bytes   = `: want 1 to 64 bytes in hex digits, got `
	)
	list := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }
	for _, row := range []struct {
		name, match, want string
	}{
		{"empty", `{}`, "capture.match: want at least one key: ports, sources, destinations, directions, sni, peers or first_bytes"},
		{"most ports", `{"ports":` + list(64) + `}`, ""},
		{"a port too many", `{"ports":` + list(65) + `}`, "capture.match.ports: want 1 to 64 elements, got 65"},
		{"no port", `{"ports":[]}`, "capture.match.ports: want 1 to 64 elements, got 0"},
		{"port 0", `{"ports":[0]}`, "capture.match.ports[0]: want a whole number from 1 to 65535, got 0"},
		{"port over", `{"ports":[1,65536]}`, "capture.match.ports[1]: want a whole number from 1 to 65535, got 65536"},
		{"whole block", `{"sources":["10.0.0.0/32"]}`, ""},
		{"block too long", `{"sources":["10.0.0.0/33"]}`, `capture.match.sources[0]` + prefix + `"10.0.0.0/33"`},
		{"bits after a block", `{"sources":["10.0.0.1/8"]}`, `capture.match.sources[0]` + prefix + `"10.0.0.1/8"`},
		{"leading zero", `{"sources":["10.0.0.01"]}`, `capture.match.sources[0]` + prefix + `"10.0.0.01"`},
		{"zone", `{"destinations":["fe80::1%eth0"]}`, `capture.match.destinations[0]` + prefix + `"fe80::1%eth0"`},
		{"direction", `{"directions":["in"]}`, `capture.match.directions[0]: want "inbound" or "outbound", got "in"`},
		{"star in the midst", `{"sni":["a*b"]}`, `capture.match.sni[0]` + pattern + `"a*b"`},
		{"two stars", `{"peers":["*a*"]}`, `capture.match.peers[0]` + pattern + `"*a*"`},
		{"most bytes", `{"first_bytes":["` + strings.Repeat("aF", 64) + `"]}`, ""},
		{"odd digits", `{"first_bytes":["abc"]}`, `capture.match.first_bytes[0]` + bytes + `"abc"`},
		{"no digit", `{"first_bytes":["0g"]}`, `capture.match.first_bytes[0]` + bytes + `"0g"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse([]byte(`{"capture":{"match":` + row.match + `}}`))
			if row.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, row.want)
		})
	}
}

// FuzzAddress holds the reading of addresses and blocks to net/netip.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		"", "1.2.3.4", "1.2.3.4/24", "1.2.3.0/24", "::", "::1", "2001:db8::/32", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
		"::ffff:1.2.3.4", "1::2::3", ":::", "1:", ":1", "1.2.3", "256.1.1.1", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::/0", "0.0.0.0/0",
		"1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "+1::", "1.2.3.4/+1", "12345::", "::1.2.3.4:5", "1.2.3.4::", "1:1.2.3.4::1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parsePrefix(text)
		want := Prefix{}
		valid := false
		if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
			want, valid = Prefix{Address: address.As16(), Bits: 128}, true
		} else if block, err := netip.ParsePrefix(text); err == nil && block == block.Masked() {
			want, valid = Prefix{Address: block.Addr().As16(), Bits: block.Bits()}, true
			if block.Addr().Is4() {
				want.Bits += mappedBits
			}
		}
		require.Equal(t, valid, ok, "%q", text)
		require.Equal(t, want, got, "%q", text)

		address, port, ok := ParseEndpoint(text)
		if endpoint, err := netip.ParseAddrPort(text); err == nil && endpoint.Addr().Zone() == "" && text == endpoint.String() {
			require.True(t, ok, text)
			require.Equal(t, endpoint.Addr().As16(), [16]byte(address), text)
			require.Equal(t, strconv.Itoa(int(endpoint.Port())), strconv.Itoa(int(port)))
		}
	})
}

// TestSampled has the share of many connections near the rate, and each connection in all greater shares too.
func TestSampled(t *testing.T) {
	const connections = 20_000
	var before [connections]bool
	for _, rate := range []float64{1e-9, 0.01, 0.1, 0.5, 0.9, 1} {
		c := Capture{ConnectionRate: rate}
		sampled := 0
		for n := range uint64(connections) {
			in := c.Sampled(n/1000, n%1000+1)
			require.False(t, before[n] && !in)
			before[n] = in
			if in {
				sampled++
			}
		}
		require.InDelta(t, rate*connections, sampled, connections/100, rate)
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { (&Capture{ConnectionRate: 0.5}).Sampled(1, 2) }))
}
