package replay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"l4dump/internal/playbook"
)

// Dialer opens connections to one place.
type Dialer struct {
	Address netip.AddrPort
	// TLS is how connections are encrypted; nil: they are not. Without a ServerName, the recorded one is asked for, or if
	// there is none, Host.
	TLS  *tls.Config
	Host string
	// ProxyProtocol is the version of the header that begins each connection and names the recorded addresses; 0: none.
	ProxyProtocol int
}

// Dial opens a connection for a script.
func (d *Dialer) Dial(ctx context.Context, of *playbook.Info) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", d.Address.String())
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline)
	}
	if err == nil && d.ProxyProtocol > 0 {
		_, err = proxyHeader(byte(d.ProxyProtocol), of).WriteTo(conn)
	}
	secured := conn
	if err == nil && d.TLS != nil {
		encrypted := tls.Client(conn, d.config(of))
		secured, err = encrypted, encrypted.HandshakeContext(ctx)
	}
	if err == nil {
		err = secured.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin the connection: %w", err), conn.Close())
	}
	return secured, nil
}

func (d *Dialer) config(of *playbook.Info) *tls.Config {
	config := d.TLS.Clone()
	if config.ServerName == "" {
		if config.ServerName = of.SNI; of.SNI == "" {
			config.ServerName = d.Host
		}
	}
	return config
}

// proxyHeader names the recorded addresses, or says that they are not known.
func proxyHeader(version byte, of *playbook.Info) *proxyproto.Header {
	source, sourceErr := netip.ParseAddrPort(of.Source)
	destination, destinationErr := netip.ParseAddrPort(of.Destination)
	source, destination = unmap(source), unmap(destination)
	if sourceErr != nil || destinationErr != nil || source.Addr().Is4() != destination.Addr().Is4() {
		return &proxyproto.Header{Version: version, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	}
	transport := proxyproto.TCPv4
	if source.Addr().Is6() {
		transport = proxyproto.TCPv6
	}
	return &proxyproto.Header{
		Version: version, Command: proxyproto.PROXY, TransportProtocol: transport,
		SourceAddr: net.TCPAddrFromAddrPort(source), DestinationAddr: net.TCPAddrFromAddrPort(destination),
	}
}
