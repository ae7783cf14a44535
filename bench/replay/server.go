package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"l4dump/bench/internal/process"
)

// server is a service that is installed on the machine.
type server struct {
	*process.Process
	address string
}

const (
	startDeadline = 30 * time.Second
	stopDeadline  = 10 * time.Second
	pollInterval  = 10 * time.Millisecond

	smallPath = "/small"

	redisKey   = "key"
	redisBytes = 3
)

var (
	redisGet    = []byte("*2\r\n$3\r\nGET\r\n$3\r\n" + redisKey + "\r\n")
	redisSet    = []byte("*3\r\n$3\r\nSET\r\n$3\r\n" + redisKey + "\r\n$3\r\nabc\r\n")
	redisAnswer = []byte("$3\r\nabc\r\n")
	redisDone   = []byte("+OK\r\n")
)

// startNginx starts nginx with a file of as many bytes at smallPath. It never closes a connection by itself.
func startNginx(ctx context.Context, dir string, bytes int) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "nginx")
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000; default_type text/plain;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen %[2]s; root %[1]s; }
}
`, root, address)
	if err := errors.Join(
		os.Mkdir(root, 0o700),
		os.WriteFile(filepath.Join(root, "nginx.conf"), []byte(config), 0o600),
		os.WriteFile(root+smallPath, make([]byte, bytes), 0o600),
	); err != nil {
		return nil, fmt.Errorf("prepare nginx: %w", err)
	}
	return startServer(ctx, address, "nginx", "-c", filepath.Join(root, "nginx.conf"))
}

// startRedis starts a Redis that has redisKey.
func startRedis(ctx context.Context, dir string) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	s, err := startServer(ctx, address, "redis-server", "--bind", host, "--port", port, "--save", "", "--dir", dir)
	if err != nil {
		return nil, err
	}
	if err := s.exchange(ctx, redisSet, redisDone); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare Redis: %w", err), s.Stop())
	}
	return s, nil
}

// freeAddress returns an address that nobody listens at.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// startServer starts a program and waits until it listens.
func startServer(ctx context.Context, address, path string, args ...string) (*server, error) {
	var said bytes.Buffer // read after the program has ended
	p, err := process.Start(ctx, process.Command{Path: path, Args: args, Stdout: &said, Stderr: &said, Patience: stopDeadline})
	if err != nil {
		return nil, err
	}
	s := &server{p, address}
	limited, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	for {
		conn, err := s.dial(limited)
		if err == nil {
			return s, conn.Close()
		}
		select {
		case <-time.After(pollInterval):
			continue
		case <-limited.Done():
		case <-p.Exited():
		}
		err = errors.Join(err, p.Stop())
		return nil, fmt.Errorf("wait for %s: %w: %s", path, err, said.Bytes())
	}
}

func (s *server) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(stopDeadline))
	}
	return conn, err
}

func (s *server) hostPort() (host, port string) {
	host, port, _ = net.SplitHostPort(s.address)
	return host, port
}

// exchange sends a request and wants an answer.
func (s *server) exchange(ctx context.Context, request, answer []byte) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(request); err != nil {
		return err
	}
	got := make([]byte, len(answer))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, answer) {
		return fmt.Errorf("want %q, got %q: %w", answer, got, err)
	}
	return nil
}

// request is what wrk sends.
func (s *server) request() []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", smallPath, s.address)
}

// answer returns the bytes that answer a request of HTTP/1.
func (s *server) answer(ctx context.Context, request []byte) ([]byte, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	response, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil {
		return nil, fmt.Errorf("read an answer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return nil, fmt.Errorf("read an answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read an answer: want status 200, got %s", response.Status)
	}
	return raw.Bytes(), nil
}
