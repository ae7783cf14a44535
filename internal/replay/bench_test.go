package replay_test

import (
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
	. "l4dump/internal/replay"
)

// BenchmarkPlay plays 64 connections of HTTP as fast as a target answers. PLAY_TARGET names one, as nginx, that answers
// GET /; else a server that only counts bytes answers.
func BenchmarkPlay(b *testing.B) {
	address := os.Getenv("PLAY_TARGET")
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + strings.Repeat("x", 64)
	if address == "" {
		address = counting(b, len(request), answer)
	}
	const connections, turnsEach = 64, 1000
	var sources []capture.Source
	for i := range connections {
		c := playbooktest.NewClient(uint64(i + 1)).Open()
		for range turnsEach {
			c.Data(down, request).Data(up, answer)
		}
		sources = append(sources, c.Close("downstream").Events)
	}
	for _, row := range []struct {
		name    string
		options playbook.Options
	}{{"http1", detected}, {"raw", playbook.Options{}}} {
		b.Run(row.name, func(b *testing.B) {
			book, err := playbooktest.Compile(row.options, sources...)
			require.NoError(b, err)
			defer book.Close()
			target := Target{Dial: func(ctx context.Context, _ *playbook.Info) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", address)
			}}
			b.ResetTimer()
			p := NewPlayer(book, []Target{target}, Options{Protocols: spoken})
			require.NoError(b, p.Run(b.Context()))
			stats := p.Stats()
			b.ReportMetric(float64(stats.Answered)/stats.Elapsed.Seconds(), "turns/s")
			b.ReportMetric(float64(stats.Reaction.P50)/float64(time.Microsecond), "µs-reaction-p50")
			b.ReportMetric(float64(stats.Reaction.P99)/float64(time.Microsecond), "µs-reaction-p99")
			require.Equal(b, map[string]uint64{"finished": connections}, stats.Ends)
			runtime.KeepAlive(book)
		})
	}
}

// counting returns the address of a server that answers each run of so many bytes.
func counting(b *testing.B, each int, answer string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 1<<12)
				got := 0
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					for got += n; got >= each; got -= each {
						if _, err := conn.Write([]byte(answer)); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// BenchmarkIdle says what a connection takes in memory that waits for an answer.
func BenchmarkIdle(b *testing.B) {
	const connections = 2000
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	all := make(chan struct{})
	go func() {
		for range connections {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				return
			}
		}
		close(all)
		<-b.Context().Done()
	}()
	defer listener.Close()
	var sources []capture.Source
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for i := range connections {
		c := playbooktest.NewClient(uint64(i + 1)).Open()
		for range 100 {
			c.Data(down, request).Data(up, "HTTP/1.1 204 No Content\r\n\r\n")
		}
		sources = append(sources, c.Close("downstream").Events)
	}
	book, err := playbooktest.Compile(detected, sources...)
	require.NoError(b, err)
	defer book.Close()
	memory := func() uint64 {
		runtime.GC() // stacks shrink by half each time
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := memory()
	ctx, cancel := context.WithCancel(b.Context())
	target := Target{Dial: func(ctx context.Context, _ *playbook.Info) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}}
	done := make(chan error)
	go func() {
		done <- NewPlayer(book, []Target{target}, Options{Protocols: spoken, Connections: connections, Drain: 1, MinWait: time.Hour, TurnTimeout: time.Hour}).Run(ctx)
	}()
	<-all
	b.ReportMetric(float64(memory()-before)/connections, "B/connection")
	cancel()
	require.ErrorIs(b, <-done, context.Canceled)
}
