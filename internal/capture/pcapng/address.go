package pcapng

import (
	"fmt"
	"net/netip"

	"l4dump/internal/capture"
)

// The ranges of addresses for documentation (RFC 5737, RFC 3849) that stand for what is not known.
var (
	clients4 = netip.AddrFrom4([4]byte{192, 0, 2, 0})
	server4  = netip.AddrFrom4([4]byte{198, 51, 100, 1})
	clients6 = netip.MustParseAddr("2001:db8::")
	server6  = netip.MustParseAddr("2001:db8:ffff::1")
)

// firstMadeUpPort is the first of a made-up client's ports.
const firstMadeUpPort = 1024

// claim chooses the addresses of a connection, which no other has that is open, and says in notes what is made up.
func (w *Writer) claim(c *capture.Connection) (e endpoints, notes []string) {
	var source, destination string
	if c.Open != nil {
		source, destination = c.Open.Source, c.Open.Destination
	}
	var known bool
	client, clientKnown := parseAddress(source)
	e.server, known = parseAddress(destination)
	if !known {
		addr := server4
		if clientKnown && client.Addr().Is6() {
			addr = server6
		}
		e.server = netip.AddrPortFrom(addr, max(1, c.Port))
		notes = append(notes, fmt.Sprintf("%s is made up: the server's address is %s", e.server, addressText(destination)))
	}
	e.client = client
	switch _, taken := w.live[e]; {
	case !clientKnown, client.Addr().Is4() != e.server.Addr().Is4():
		e = w.makeUpClient(e)
		notes = append(notes, fmt.Sprintf("%s is made up: the client's address is %s", e.client, addressText(source)))
	case taken:
		e = w.makeUpClient(e)
		notes = append(notes, fmt.Sprintf("%s is made up: another open connection has the client's address, %s", e.client, client))
	}
	w.live[e] = struct{}{}
	return e, notes
}

// makeUpClient returns e with a client that is not in use.
func (w *Writer) makeUpClient(e endpoints) endpoints {
	const ports = 1<<16 - firstMadeUpPort
	for {
		host, port := w.madeUp/ports, firstMadeUpPort+w.madeUp%ports
		w.madeUp++
		var addr netip.Addr
		if e.server.Addr().Is4() {
			b := clients4.As4()
			b[3] = byte(1 + host%254)
			addr = netip.AddrFrom4(b)
		} else {
			b := clients6.As16()
			b[14], b[15] = byte((1+host)>>8), byte(1+host)
			addr = netip.AddrFrom16(b)
		}
		e.client = netip.AddrPortFrom(addr, uint16(port))
		if _, taken := w.live[e]; !taken {
			return e
		}
	}
}

// parseAddress reads an address as a proxy writes it.
func parseAddress(text string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(text)
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), err == nil
}

func addressText(text string) string {
	if text == "" {
		return "not known"
	}
	return capture.Name(text).String()
}
