package e2e

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// TestTLSBeforeThePlugin ends mutual TLS in the proxy: what is recorded is what was encrypted, with the server name that
// the client asked for and the identity that it proved. The engine does not support TLS.
func TestTLSBeforeThePlugin(t *testing.T) {
	t.Parallel()
	onEnvoys(t, func(t *testing.T, s subject) {
		a := newAuthority(t)
		service := startService(t, echo)
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		c.terminate(t, listenerName, a)
		p := start(t, s, c)

		dialTLS := func(certificates ...tls.Certificate) (*client, *tls.Conn) {
			c := dial(t, p.address(listenerName))
			return c, tls.Client(c, &tls.Config{ServerName: serverName, RootCAs: a.pool(), Certificates: certificates})
		}
		sources := map[string][]byte{}
		for i := range 4 * workers {
			payload := randomBytes(uint64(i), 100_000*i)
			client, secure := dialTLS(a.client())
			require.NoError(t, exchange(secure, payload))
			require.NoError(t, secure.CloseWrite())
			rest, err := io.ReadAll(secure)
			require.NoError(t, err)
			require.Empty(t, rest)
			sources[client.source()] = payload
		}
		d := p.waitForCloses(len(sources))
		for source, payload := range sources {
			recorded := d.of(t, source)
			requireWhole(t, recorded, talk{sent: digestOf(payload), received: digestOf(payload)})
			require.Equal(t, serverName, recorded.open.SNI)
			require.Equal(t, clientIdentity, recorded.open.Peer)
			require.True(t, recorded.open.MTLS)
		}

		// A client without a certificate gets no byte through, and none is recorded.
		refused, secure := dialTLS()
		require.Error(t, exchange(secure, []byte("hello")))
		require.NoError(t, refused.Close())
		p.stop()
		if recorded, ok := p.dump().bySource[refused.source()]; ok {
			require.Equal(t, record.Ledger{}, recorded.closed.Downstream)
			require.False(t, recorded.open.MTLS)
		}
	})
}

// TestTLSPassedThrough has the service end TLS: what is recorded is what passed, which is ciphertext.
func TestTLSPassedThrough(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		a := newAuthority(t)
		service := startService(t, func(c *net.TCPConn) {
			secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{a.server()}})
			_, _ = io.Copy(secure, secure)
			_ = secure.CloseWrite()
			_ = c.CloseWrite()
		})
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		wantName := ""
		if s.name != engine {
			c.inspect(t, listenerName)
			wantName = serverName
		}
		p := start(t, s, c)

		client := dial(t, p.address(listenerName))
		w := newWire(client.TCPConn)
		secure := tls.Client(w, &tls.Config{ServerName: serverName, RootCAs: a.pool()})
		payload := randomBytes(1, 200_000)
		require.NoError(t, exchange(secure, payload))
		require.NoError(t, secure.CloseWrite())
		require.NoError(t, client.CloseWrite())
		_, err := io.ReadAll(w)
		require.NoError(t, err)

		recorded := p.waitForCloses(1).of(t, client.source())
		sent, received := w.passed()
		requireWhole(t, recorded, talk{sent: digestOf(sent), received: digestOf(received)})
		require.Equal(t, wantName, recorded.open.SNI)
		require.Empty(t, recorded.open.Peer, "which only the service knows")
		require.False(t, recorded.open.MTLS)
		for direction := range recorded.streams {
			first := recorded.streams[direction].bytes(t, 0)
			require.Equal(t, []byte{22, 3}, first[:2], "a TLS handshake")
			require.NotContains(t, string(first), string(payload[:16]))
		}
		said := decode(t, p.log, "--format", "text")
		require.Contains(t, said, "TLS, not decrypted: 1 connection")
	})
}
