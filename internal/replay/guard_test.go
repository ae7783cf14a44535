package replay_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	. "l4dump/internal/replay"
)

// names are what a test's names resolve to.
var names = map[string]string{
	"app.example": "10.1.2.3", "vip.example": "10.1.2.4", "mapped.example": "::ffff:10.1.2.3", "here.example": "127.0.0.1",
}

func lookup(_ context.Context, _, host string) ([]netip.Addr, error) {
	text, ok := names[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr(text)}, nil
}

func TestGuard(t *testing.T) {
	private := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	recorded := playbook.Totals{
		Destinations: map[string]uint64{"10.9.9.9:80": 1, "127.0.0.1:80": 1, "envoy://internal": 1}, Names: map[string]uint64{"vip.example": 1, "gone.example": 1},
	}
	const said = "; if it may get its own recording, say --allow-recorded-destination"
	for _, row := range []struct {
		name    string
		target  string
		guard   Guard
		want    string // the address, or why not
		warning string
	}{
		{"loopback", "127.0.0.1:8080", Guard{}, "127.0.0.1:8080", ""},
		{"loopback, IPv6", "[::1]:8080", Guard{}, "[::1]:8080", ""},
		{"loopback by name", "here.example:81", Guard{}, "127.0.0.1:81", ""},
		{"loopback that was recorded", "127.0.0.1:80", Guard{}, "127.0.0.1:80", "the recording was made at 127.0.0.1:80: a proxy that records there records what is played, too"},
		{"loopback within IPv6", "[::ffff:127.0.0.1]:81", Guard{}, "127.0.0.1:81", ""},
		{"private", "10.1.2.3:80", Guard{}, "--target 10.1.2.3:80 is not on this machine; if it may get what was recorded, say --allow 10.1.2.3/32", ""},
		{"unspecified", "0.0.0.0:80", Guard{}, "--target 0.0.0.0:80 is not on this machine; if it may get what was recorded, say --allow 0.0.0.0/32", ""},
		{"private by name", "app.example:80", Guard{}, "--target app.example:80 (10.1.2.3:80) is not on this machine; if it may get what was recorded, say --allow 10.1.2.3/32", ""},
		{"within IPv6", "mapped.example:80", Guard{}, "--target mapped.example:80 (10.1.2.3:80) is not on this machine; if it may get what was recorded, say --allow 10.1.2.3/32", ""},
		{"allowed", "app.example:80", Guard{Allow: private}, "10.1.2.3:80", ""},
		{"beside what is allowed", "11.0.0.0:80", Guard{Allow: private}, "--target 11.0.0.0:80 is not on this machine; if it may get what was recorded, say --allow 11.0.0.0/32", ""},
		{"recorded", "10.9.9.9:80", Guard{Allow: private}, "--target 10.9.9.9:80 is the service that was recorded" + said, ""},
		{"recorded, within IPv6", "[::ffff:10.9.9.9]:80", Guard{Allow: private}, "--target [::ffff:10.9.9.9]:80 (10.9.9.9:80) is the service that was recorded" + said, ""},
		{"recorded and allowed", "10.9.9.9:80", Guard{Allow: private, RecordedDestination: true}, "10.9.9.9:80", ""},
		{"another port of it", "10.9.9.9:81", Guard{Allow: private}, "10.9.9.9:81", ""},
		{"recorded by name", "vip.example:80", Guard{Allow: private}, "--target vip.example:80 (10.1.2.4:80) has the name of the service that was recorded" + said, ""},
		{"the address of a recorded name", "10.1.2.4:80", Guard{Allow: private}, "--target 10.1.2.4:80 has the address of vip.example, the service that was recorded" + said, ""},
		{"no such name", "gone.example:80", Guard{}, "resolve --target gone.example:80: lookup gone.example: no such host", ""},
		{"no port", "127.0.0.1", Guard{}, `--target is "127.0.0.1"; wanted HOST:PORT`, ""},
		{"port 0", "127.0.0.1:0", Guard{}, `--target is "127.0.0.1:0"; wanted HOST:PORT`, ""},
		{"a port too high", "127.0.0.1:65536", Guard{}, `--target is "127.0.0.1:65536"; wanted HOST:PORT`, ""},
		{"no host", ":80", Guard{}, `--target is ":80"; wanted HOST:PORT`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.guard.Lookup = lookup
			place, err := row.guard.Resolve(t.Context(), row.target)
			if err == nil {
				err = row.guard.Check(t.Context(), place, &recorded)
			}
			if err != nil {
				require.Equal(t, row.want, err.Error())
				return
			}
			require.Equal(t, row.want, place.Address.String())
			require.Equal(t, row.warning, place.Warning)
		})
	}
}

// TestGuardGivesUp has more destinations and names than can be compared.
func TestGuardGivesUp(t *testing.T) {
	guard := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Lookup: lookup}
	place, err := guard.Resolve(t.Context(), "10.0.0.1:80")
	require.NoError(t, err)
	many := playbook.Totals{Destinations: map[string]uint64{playbook.OtherClasses: 1}}
	require.ErrorContains(t, guard.Check(t.Context(), place, &many), "too many destinations")
	many = playbook.Totals{Names: map[string]uint64{}}
	for i := range 16 {
		many.Names[string(rune('a'+i))] = 1
	}
	require.NoError(t, guard.Check(t.Context(), place, &many))
	many.Names["one more"] = 1
	require.ErrorContains(t, guard.Check(t.Context(), place, &many), "too many server names")
}
