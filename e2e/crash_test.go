package e2e

import (
	"path/filepath"
	"testing"

	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"github.com/stretchr/testify/require"

	"l4dump/internal/guest"
)

// TestCrash lets the plugin panic in each worker: connections that live, the one that it panics on, and new ones continue
// without it.
func TestCrash(t *testing.T) {
	t.Parallel()
	const connections = 24 // so many that each worker has some
	crash := filepath.Join(t.TempDir(), "crash.wasm")
	require.NoError(t, guest.Build(t.Context(), crash, "./testdata/crash"))
	onEach(t, func(t *testing.T, s subject) {
		service := startService(t, echo)
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		c.change(t, listenerName, func(w *wasmv3.PluginConfig) { w.GetVmConfig().Code = localFile(crash) })
		p := start(t, s, c)

		live := make([]*client, connections)
		for i := range live {
			live[i] = dial(t, p.address(listenerName))
			live[i].exchange(randomBytes(uint64(i), 5_000))
		}
		p.waitForDump("records of both workers", func(d *dump) bool { return len(d.conns) == connections && d.vms() == workers })

		for range 2 { // the second time there is no plugin left
			for _, c := range live {
				c.exchange([]byte("crash now"))
			}
		}
		// The stack, since the panic's own text is lost in Envoy before 1.39: there the Go runtime fails to sleep (WASI's
		// poll_oneoff) before it prints it.
		require.Equal(t, workers, p.logged("main.connection.OnDownstreamData"))
		for i, c := range live {
			c.exchange(randomBytes(uint64(i), 100_000))
			c.finish()
		}
		for i := range connections {
			c := dial(t, p.address(listenerName))
			c.exchange(randomBytes(uint64(i), 100_000))
			c.finish()
		}
		require.Zero(t, p.dump().closes)
	})
}
