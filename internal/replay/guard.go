package replay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"l4dump/internal/playbook"
)

// Guard decides where a recording may be played to: what was recorded in one place must not reach it, or another one,
// unless the user says so.
type Guard struct {
	// Allow are the addresses that may be played to, besides loopback. Those of private networks are no exception, as
	// clusters have them.
	Allow []netip.Prefix
	// RecordedDestination allows the service that was recorded.
	RecordedDestination bool
	// Lookup resolves a name; nil: the system does.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Place is where a recording is played to, resolved once.
type Place struct {
	Name    string // as the user gave it
	Host    string // of Name
	Address netip.AddrPort
	Warning string // what the user should know, as one line; empty: nothing
}

// Loopback says that the place is on this machine.
func (p *Place) Loopback() bool { return p.Address.Addr().IsLoopback() }

// String returns the name, with the address if it is another.
func (p *Place) String() string {
	if p.Name == p.Address.String() {
		return p.Name
	}
	return p.Name + " (" + p.Address.String() + ")"
}

// RefusedError says why a recording is not played to a place.
type RefusedError struct{ text string }

// Error implements error.
func (e *RefusedError) Error() string { return e.text }

func refuse(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// lookupTimeout bounds the resolution of names.
const lookupTimeout = 5 * time.Second

// maxNames bounds how many recorded names are resolved.
const maxNames = 16

// Resolve returns the place that target, "HOST:PORT", names. A *RefusedError says why it is none.
func (g *Guard) Resolve(ctx context.Context, target string) (*Place, error) {
	host, service, err := net.SplitHostPort(target)
	port, portErr := strconv.ParseUint(service, 10, 16)
	if err != nil || portErr != nil || host == "" || port == 0 {
		return nil, refuse("--target is %q; wanted HOST:PORT", target)
	}
	addresses, err := g.lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolve --target %s: %w", target, err)
	}
	place := &Place{Name: target, Host: host, Address: netip.AddrPortFrom(addresses[0], uint16(port))}
	address := place.Address.Addr()
	allowed := slices.ContainsFunc(g.Allow, func(p netip.Prefix) bool { return p.Contains(address.WithZone("")) })
	if !place.Loopback() && !allowed {
		return nil, refuse("--target %s is not on this machine; if it may get what was recorded, say --allow %s", place, netip.PrefixFrom(address, address.BitLen()))
	}
	return place, nil
}

// Check holds a place against where the recording comes from.
func (g *Guard) Check(ctx context.Context, place *Place, of *playbook.Totals) error {
	if place.Loopback() {
		if of.Destinations[place.Address.String()] > 0 {
			place.Warning = "the recording was made at " + place.Address.String() + ": a proxy that records there records what is played, too"
		}
		return nil
	}
	if g.RecordedDestination {
		return nil
	}
	const remedy = "; if it may get its own recording, say --allow-recorded-destination"
	for recorded := range of.Destinations {
		if recorded == playbook.OtherClasses {
			return refuse("the recording has too many destinations to know that --target %s is none of them%s", place, remedy)
		}
		if address, err := netip.ParseAddrPort(recorded); err == nil && unmap(address) == place.Address {
			return refuse("--target %s is the service that was recorded%s", place, remedy)
		}
	}
	resolved := 0
	for name := range of.Names {
		if strings.EqualFold(name, place.Host) {
			return refuse("--target %s has the name of the service that was recorded%s", place, remedy)
		}
		if resolved++; resolved > maxNames {
			return refuse("the recording has too many server names to know that --target %s is none of them%s", place, remedy)
		}
		addresses, err := g.lookup(ctx, name)
		if err == nil && slices.Contains(addresses, place.Address.Addr()) {
			return refuse("--target %s has the address of %s, the service that was recorded%s", place, name, remedy)
		}
	}
	return nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// lookup returns the addresses of a host, at least one.
func (g *Guard) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	lookup := g.Lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	addresses, err := lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, errors.New("no address")
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	return addresses, nil
}
