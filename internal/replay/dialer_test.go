package replay_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	. "l4dump/internal/replay"
)

// accepted is what a server sees of a connection.
type accepted struct {
	header string // the addresses of the header, if there is one
	name   string // that the client asks for
	certs  int
}

// accept serves connections that may begin with a header and TLS, and answers "a?" with "alpha" when the client has ended.
func accept(t *testing.T, header bool, config *tls.Config, seen chan<- accepted) Target {
	t.Helper()
	return serve(t, func(conn *net.TCPConn) {
		var got accepted
		reader := bufio.NewReader(conn)
		if header {
			h, err := proxyproto.Read(reader)
			if err != nil {
				return
			}
			got.header = "unknown"
			if h.Command == proxyproto.PROXY {
				got.header = h.SourceAddr.String() + " " + h.DestinationAddr.String()
			}
		}
		stream := io.ReadWriter(struct {
			io.Reader
			io.Writer
		}{reader, conn})
		if config != nil {
			encrypted := tls.Server(&buffered{conn, reader}, config)
			if encrypted.Handshake() != nil {
				return
			}
			state := encrypted.ConnectionState()
			got.name, got.certs = state.ServerName, len(state.PeerCertificates)
			stream = encrypted
		}
		seen <- got
		if all, _ := io.ReadAll(stream); string(all) == "a?" {
			_, _ = io.WriteString(stream, "alpha")
		}
	})
}

type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

func TestDialer(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	cert := certified.TLS.Certificates[0]
	server := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	trusting := &tls.Config{RootCAs: roots}
	for _, row := range []struct {
		name        string
		source, sni string
		dialer      Dialer
		server      *tls.Config
		want        accepted
		how         string
	}{
		{"plain", "10.0.0.7:40112", "", Dialer{}, nil, accepted{}, "finished"},
		{"header, version 1", "10.0.0.7:40112", "", Dialer{ProxyProtocol: 1}, nil, accepted{header: "10.0.0.7:40112 10.0.0.9:8080"}, "finished"},
		{"header, version 2", "10.0.0.7:40112", "", Dialer{ProxyProtocol: 2}, nil, accepted{header: "10.0.0.7:40112 10.0.0.9:8080"}, "finished"},
		{"header of unknown addresses", "somewhere", "", Dialer{ProxyProtocol: 2}, nil, accepted{header: "unknown"}, "finished"},
		{"TLS", "10.0.0.7:40112", "example.com", Dialer{TLS: trusting}, server, accepted{name: "example.com"}, "finished"},
		{"TLS, by the target's name", "10.0.0.7:40112", "", Dialer{TLS: trusting, Host: "example.com"}, server, accepted{name: "example.com"}, "finished"},
		{"TLS, by another name", "10.0.0.7:40112", "other.org", Dialer{TLS: trusting}, server, accepted{}, "dial failed"},
		{"header and TLS with a certificate", "10.0.0.7:40112", "example.com", Dialer{TLS: &tls.Config{RootCAs: trusting.RootCAs, Certificates: server.Certificates}, ProxyProtocol: 1}, server, accepted{"10.0.0.7:40112 10.0.0.9:8080", "example.com", 1}, "finished"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := playbooktest.NewClient(1).Open().Data(down, "a?").End(down).Data(up, "alpha").End(up).Close("downstream")
			c.Events[0].Open.Source, c.Events[0].Open.SNI = row.source, row.sni
			saw := make(chan accepted, 1)
			target := accept(t, row.dialer.ProxyProtocol > 0, row.server, saw)
			row.dialer.Address = netip.MustParseAddrPort(target.Name)
			seen, stats, err := play(t, newBook(t, playbook.Options{}, c), Options{DialTimeout: 20 * time.Second}, Target{Dial: row.dialer.Dial})
			require.NoError(t, err)
			require.Equal(t, map[string]uint64{row.how: 1}, stats.Ends, "%+v", stats.Reasons)
			if row.how == "finished" {
				require.Equal(t, row.want, <-saw)
				require.Equal(t, []string{`0: turn 0 "alpha"`, "0: finished after 3 steps, by upstream"}, seen.lines)
			}
		})
	}
}
