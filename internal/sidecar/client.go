package sidecar

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	clientTimeout  = 10 * time.Second
	maxAnswerBytes = 4 << 20
)

// Client asks a sidecar.
type Client struct {
	address string // for messages
	base    string
	token   string
	http    *http.Client
}

// ClientOptions are what a Client needs in addition to the address. The files are read by NewClient.
type ClientOptions struct {
	TokenFile       string // a bearer token
	CA              string // who signed the sidecar's certificate; default: who the system trusts
	ClientCert, Key string // the client's certificate
}

// NewClient returns a client of the sidecar at address: "unix:///PATH" or "/PATH", "http://HOST:PORT" or
// "https://HOST:PORT". HOST:PORT alone is https unless the host is loopback, as the sidecar listens. A token is not sent in the clear to another machine: that is an error.
func NewClient(address string, options ClientOptions) (*Client, error) {
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext}
	c := &Client{http: &http.Client{
		Transport: transport, Timeout: clientTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if strings.HasPrefix(address, "/") {
		address = "unix://" + address
	} else if host, _, err := net.SplitHostPort(address); err == nil && !strings.Contains(address, "/") {
		if isLoopbackHost(host) {
			address = "http://" + address
		} else {
			address = "https://" + address
		}
	}
	c.address = address
	scheme, rest, _ := strings.Cut(address, "://")
	rest = strings.TrimSuffix(rest, "/")
	switch scheme {
	case "unix":
		e, err := ParseEndpoint(address)
		if err != nil {
			return nil, err
		}
		transport.DialContext = dialUnix(e.Address)
		c.base = "http://localhost"
	case "http", "https":
		host, _, err := net.SplitHostPort(rest)
		if err != nil {
			return nil, fmt.Errorf("parse address %q: want HOST:PORT after %s://", address, scheme)
		}
		if scheme == "http" && options.TokenFile != "" && !isLoopbackHost(host) {
			return nil, fmt.Errorf("use address %q: want https://, since the token would be sent in the clear", address)
		}
		c.base = scheme + "://" + rest
	default:
		return nil, fmt.Errorf("parse address %q: want unix:///PATH, http://HOST:PORT or https://HOST:PORT", address)
	}
	if err := c.secure(transport, options); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Client) secure(transport *http.Transport, options ClientOptions) (err error) {
	if options.TokenFile != "" {
		if c.token, err = ReadToken(options.TokenFile); err != nil {
			return err
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if options.CA != "" {
		if config.RootCAs, err = readPool(options.CA); err != nil {
			return fmt.Errorf("read CA: %w", err)
		}
	}
	if (options.ClientCert == "") != (options.Key == "") {
		return errors.New("want a client certificate and its key, got one of them")
	}
	if options.ClientCert != "" {
		cert, err := tls.LoadX509KeyPair(options.ClientCert, options.Key)
		if err != nil {
			return fmt.Errorf("read client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	transport.TLSClientConfig = config
	return nil
}

// Close ends the connections that are kept for the next request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns everything a person asks.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.do(ctx, http.MethodGet, statusPath, nil, &s)
	return s, err
}

// Global returns the global strategy.
func (c *Client) Global(ctx context.Context) (Global, error) {
	var g Global
	err := c.do(ctx, http.MethodGet, globalPath, nil, &g)
	return g, err
}

// SetGlobal sets the global strategy to text, the JSON object that strategy.ParseStrategy reads. Where it is refused
// the error is a *Problem with every fault.
func (c *Client) SetGlobal(ctx context.Context, text []byte) (Global, error) {
	var g Global
	err := c.do(ctx, http.MethodPut, globalPath, text, &g)
	return g, err
}

// DeleteGlobal removes the global strategy.
func (c *Client) DeleteGlobal(ctx context.Context) (Global, error) {
	var g Global
	err := c.do(ctx, http.MethodDelete, globalPath, nil, &g)
	return g, err
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, to any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask sidecar: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("no sidecar at %s; start one with 'l4dump sidecar', or give --address", c.address)
	}
	if err != nil {
		return fmt.Errorf("ask sidecar: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return fmt.Errorf("read the sidecar's answer: %w", err)
	}
	if len(text) > maxAnswerBytes {
		return fmt.Errorf("read the sidecar's answer: want at most %d bytes", maxAnswerBytes)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp, text)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("parse the sidecar's answer: %w", err)
	}
	return nil
}

// refusal returns the problem that an answer holds.
func refusal(resp *http.Response, text []byte) error {
	problem := new(Problem)
	if resp.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(text, problem) != nil {
		return fmt.Errorf("ask sidecar: what answers there is not a sidecar: status %d", resp.StatusCode)
	}
	return fmt.Errorf("ask sidecar: %w", problem)
}
