package replay_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/playbook"
	. "l4dump/internal/replay"
)

// TestStops has a target that begins to fail, or to take long, after a minute.
func TestStops(t *testing.T) {
	book := newBook(t, playbook.Options{}, paced(20, 1500*time.Millisecond, 3*time.Minute)...)
	for _, row := range []struct {
		name    string
		options Options
		slow    time.Duration // what the target takes from then on
		want    error
	}{
		{"no limit", Options{}, time.Second, nil},
		{"late, below the limit", Options{MaxLatency: time.Second}, 900 * time.Millisecond, nil},
		{"late", Options{MaxLatency: time.Second}, 1100 * time.Millisecond, ErrFailing},
		{"no answer in time", Options{MaxFailed: 0.05}, time.Hour, ErrFailing},
		{"in time", Options{MaxFailed: 0.05}, time.Second, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				row.options.Pace, row.options.Drain, row.options.TurnTimeout = Pace{PaceRecorded, 1}, time.Second, 6*time.Second
				p := NewPlayer(book, []Target{{Dial: func(context.Context, *playbook.Info) (net.Conn, error) {
					client, server := net.Pipe()
					go func() {
						defer server.Close()
						b := make([]byte, 1)
						for {
							if _, err := io.ReadFull(server, b); err != nil {
								return
							}
							if time.Since(begin) > time.Minute {
								time.Sleep(row.slow)
							}
							if _, err := server.Write(b); err != nil {
								return
							}
						}
					}()
					return client, nil
				}}}, row.options)
				err := p.Run(t.Context())
				require.ErrorIs(t, err, row.want)
				if row.want != nil {
					require.Greater(t, p.Stats().Elapsed, time.Minute)
					require.Less(t, p.Stats().Elapsed, 90*time.Second)
				}
				time.Sleep(time.Hour) // the target ends
			})
		})
	}
}
