package sidecar_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"l4dump/internal/sidecar"
)

// An application uploads a portrait with nothing but HTTP. The same from a shell:
//
//	curl --unix-socket /run/l4dump/sidecar.sock -H 'Content-Type: application/json' \
//	     -d '{"service":"cart"}' 'http://localhost/v1/portraits/RPC?port=8080'
//
// 201: it is written. 409: this window has one already. 423: nothing is recorded now; Retry-After says when to ask.
func Example_portrait() {
	socket, stop := startSidecar()
	defer stop()

	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	for range 2 {
		portrait := strings.NewReader(`{"service": "cart", "items": 3}`)
		resp, err := client.Post("http://localhost/v1/portraits/RPC?port=8080", "application/json", portrait)
		if err != nil {
			fmt.Println("no sidecar:", err)
			return
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			fmt.Println("no answer:", err)
			return
		}
		fmt.Printf("%d %s", resp.StatusCode, answer)
	}
	// Output:
	// 201 {"window":"019ca945-0a00-801e-ac34-64756d700000","type":"RPC","port":8080,"bytes":78}
	// 409 {"type":"about:blank","title":"Conflict","status":409,"detail":"the window has a portrait of RPC already","reason":"duplicate","window":"019ca945-0a00-801e-ac34-64756d700000","retry_after_seconds":30}
}

// calm is usage of a machine that does nothing.
type calm struct{ now time.Time }

func (c calm) Latest() (sidecar.Measurement, bool) {
	return sidecar.Measurement{
		CPU: sidecar.Figure{Percent: 1, Taken: c.now}, Memory: sidecar.Figure{Percent: 2, Taken: c.now},
	}, true
}

// startSidecar starts a sidecar that records: its global strategy is ON, and a window has just begun.
func startSidecar() (socket string, stop func()) {
	dir, err := os.MkdirTemp("", "l4dump")
	if err != nil {
		panic(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	socket = filepath.Join(dir, "s")
	strategyFile := filepath.Join(dir, "global.json")
	if err := os.WriteFile(strategyFile, []byte(`{"switch": "ON"}`), 0o600); err != nil {
		panic(err)
	}
	server, err := sidecar.Start(context.Background(), sidecar.Options{
		Dir: dir, Listen: []sidecar.Endpoint{{Network: "unix", Address: socket}}, StrategyFile: strategyFile,
		Usage: calm{now}, Now: func() time.Time { return now },
	})
	if err != nil {
		panic(err)
	}
	return socket, func() {
		if err := server.Close(); err != nil {
			panic(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			panic(err)
		}
	}
}
