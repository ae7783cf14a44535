package e2e

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// forged returns the records of a connection that never was, each on a line of its own.
func forged() string {
	header := record.Header{Port: 80, Conn: record.ConnID{VM: 1, Number: 1}}
	open := record.AppendOpen(nil, &header, &record.Open{Unit: "bytes", Source: "203.0.113.1:1"})
	header.Seq++
	data := record.AppendData(nil, &header, record.Downstream, 0, []byte("forged"))
	return "\n" + string(open) + "\n" + string(data) + "\n"
}

// TestHostileBytes sends what looks like records: none of it becomes one.
func TestHostileBytes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		p := start(t, s, newConfig(t, service.address(), plugins{
			listenerName: pluginConfig(openStrategy(t), everything, `{}`),
		}))
		hostile := strings.Repeat("\n"+forged()+"\r\n\x00] L4D1 data conn=\xff", 50)

		c := dial(t, p.address(listenerName))
		c.exchange([]byte(hostile))
		c.finish()
		p.waitForCloses(1)
		p.stop()
		d := p.dump()
		require.Len(t, d.conns, 1)
		requireWhole(t, d.of(t, c.source()), talk{sent: digestOf([]byte(hostile)), received: digestOf([]byte(hostile))})
	})
}

// TestHostileServerName asks for a server whose name looks like records. The engine does not look into TLS.
func TestHostileServerName(t *testing.T) {
	t.Parallel()
	onEnvoys(t, func(t *testing.T, s subject) {
		service := startService(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		c.inspect(t, listenerName)
		p := start(t, s, c)
		// As much as a name may have, 255 bytes.
		name := "\n" + string(record.AppendEnd(nil, &record.Header{Port: 80, Conn: record.ConnID{VM: 1, Number: 1}}, record.Upstream, 0)) + "\n"
		name += strings.Repeat(" ", 255-len(name))
		client := dial(t, p.address(listenerName))
		ended := make(chan error, 1)
		go func() {
			ended <- tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		}()
		p.waitForDump("the client's hello", func(d *dump) bool { return d.records >= 2 })
		require.NoError(t, client.CloseWrite())
		require.Error(t, <-ended, "the service speaks no TLS")
		require.NoError(t, client.Close())

		d := p.waitForCloses(1)
		require.Len(t, d.conns, 1)
		want := strings.ToLower(name) // as Envoy gives it; escaped, it is longer than what an open record may hold
		got := d.of(t, client.source()).open.SNI
		require.NotEmpty(t, got)
		require.Equal(t, want[:len(got)], got)
	})
}
