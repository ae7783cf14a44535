package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// DefaultListen is where the sidecar listens by default: it works for every user.
const DefaultListen = "127.0.0.1:9911"

// maxSocketPath is the longest path of a Unix socket: sun_path has 108 bytes on Linux (104 on macOS, whose kernel
// then refuses), and a zero ends it.
const maxSocketPath = 107

// Endpoint is an address to listen on, or one to ask.
type Endpoint struct {
	Network string // "unix" or "tcp"
	Address string // a path, or HOST:PORT
	TLS     bool
}

// ParseEndpoint reads "unix:///PATH", "HOST:PORT" or "tcp://HOST:PORT", or "tls://HOST:PORT". TCP on another address
// than loopback is TLS, whether it says so or not.
func ParseEndpoint(text string) (Endpoint, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "tcp", text
	}
	switch scheme {
	case "unix":
		if !strings.HasPrefix(rest, "/") || strings.ContainsRune(rest, 0) {
			return Endpoint{}, fmt.Errorf("parse address %q: want an absolute path, as unix:///run/l4dump/sidecar.sock", text)
		}
		if len(rest) > maxSocketPath {
			return Endpoint{}, fmt.Errorf("parse address %q: want a path of at most %d bytes, got %d",
				text, maxSocketPath, len(rest))
		}
		return Endpoint{Network: "unix", Address: rest}, nil
	case "tcp", "tls":
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			return Endpoint{}, fmt.Errorf("parse address %q: want HOST:PORT or unix:///PATH", text)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil {
			return Endpoint{}, fmt.Errorf("parse address %q: want a port from 0 to 65535, got %q", text, port)
		} else if n == 0 && !isLoopbackHost(host) {
			return Endpoint{}, fmt.Errorf("parse address %q: want a port from 1 to 65535", text)
		}
		return Endpoint{Network: "tcp", Address: rest, TLS: scheme == "tls" || !isLoopbackHost(host)}, nil
	}
	return Endpoint{}, fmt.Errorf("parse address %q: want HOST:PORT, tls://HOST:PORT or unix:///PATH", text)
}

// String returns the form that ParseEndpoint reads.
func (e Endpoint) String() string {
	switch {
	case e.Network == "unix":
		return "unix://" + e.Address
	case e.TLS:
		return "tls://" + e.Address
	}
	return "tcp://" + e.Address
}

// Owner is the user and the group that a socket belongs to.
type Owner struct {
	UID, GID int
}

// ParseOwner reads "UID:GID", both numbers.
func ParseOwner(text string) (Owner, error) {
	user, group, _ := strings.Cut(text, ":")
	uid, err := strconv.ParseUint(user, 10, 31)
	gid, err2 := strconv.ParseUint(group, 10, 31)
	if err != nil || err2 != nil {
		return Owner{}, fmt.Errorf("parse owner: want UID:GID, two numbers, got %q", text)
	}
	return Owner{UID: int(uid), GID: int(gid)}, nil
}

// listen opens the endpoint and returns it with the port that it got.
func (e Endpoint) listen(ctx context.Context, mode fs.FileMode, owner *Owner) (net.Listener, Endpoint, error) {
	if e.Network == "unix" {
		l, err := listenUnix(ctx, e.Address, mode, owner)
		return l, e, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.Address)
	if err != nil {
		return nil, e, err
	}
	address := l.Addr().(*net.TCPAddr)
	if !e.TLS && !address.IP.IsLoopback() { // "localhost" can be configured to be anything
		return nil, e, errors.Join(fmt.Errorf("listen on %s: %s is no loopback address", e, address), l.Close())
	}
	e.Address = address.String()
	return l, e, nil
}

// listenUnix listens on a Unix socket that is never, not even for a moment, open to more than mode and owner say. A
// file that an earlier listener left is removed; one that is answered belongs to a running process.
func listenUnix(ctx context.Context, path string, mode fs.FileMode, owner *Owner) (net.Listener, error) {
	if err := removeStaleSocket(ctx, path); err != nil {
		return nil, err
	}
	l, err := bindUnix(ctx, path)
	if err != nil {
		return nil, err
	}
	if owner != nil {
		if err := os.Lchown(path, owner.UID, owner.GID); err != nil {
			return nil, errors.Join(fmt.Errorf("set owner of socket: %w", err), l.Close())
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("set mode of socket: %w", err), l.Close())
	}
	return l, nil
}

// bindUnix listens on a new socket of mode 0600. On Linux bind takes the mode of the file from the socket, whatever the
// umask lets through. Elsewhere setting it does nothing, and the directory is to keep others out until listenUnix sets
// the mode.
func bindUnix(ctx context.Context, path string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	return config.Listen(ctx, "unix", path)
}

func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen on unix://%s: the file is there and is no socket", path)
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("listen on unix://%s: another process listens there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen on unix://%s: the socket is there and may be in use: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}
