package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"l4dump/internal/host"
)

// cluster reaches the hosts of a cluster in turn. Names are resolved for each connection.
type cluster struct {
	config    clusterConfig
	next      atomic.Uint32
	transport *http.Transport

	total, active, connectFail, connectTimeout, exceeded, noHost, received, sent *host.Metric
}

func newCluster(config clusterConfig, s *stats) *cluster {
	scope := s.cluster(config.name)
	c := &cluster{
		config:         config,
		total:          scope.counter("upstream_cx_total"),
		active:         scope.gauge("upstream_cx_active"),
		connectFail:    scope.counter("upstream_cx_connect_fail"),
		connectTimeout: scope.counter("upstream_cx_connect_timeout"),
		exceeded:       scope.counter("upstream_cx_connect_attempts_exceeded"),
		noHost:         scope.counter("upstream_cx_none_healthy"),
		received:       scope.counter("upstream_cx_rx_bytes_total"),
		sent:           scope.counter("upstream_cx_tx_bytes_total"),
	}
	scope.gauge("membership_total").Set(uint64(len(config.endpoints)))
	c.transport = &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponseHeader,
		IdleConnTimeout:        time.Minute,
	}
	return c
}

var errNoHost = errors.New("the cluster has no host")

// dial connects to the next host. The caller closes the connection, and takes it off the gauge by closed.
func (c *cluster) dial(ctx context.Context) (net.Conn, error) {
	if len(c.config.endpoints) == 0 {
		c.noHost.Add(1)
		return nil, fmt.Errorf("connect to cluster %s: %w", c.config.name, errNoHost)
	}
	endpoint := c.config.endpoints[int(c.next.Add(1)-1)%len(c.config.endpoints)]
	c.total.Add(1)
	dialer := net.Dialer{Timeout: c.config.connectTimeout}
	connection, err := dialer.DialContext(ctx, endpoint.network, endpoint.address)
	if err != nil {
		c.connectFail.Add(1)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			c.connectTimeout.Add(1)
		}
		return nil, fmt.Errorf("connect to cluster %s: %w", c.config.name, err)
	}
	return connection, nil
}

// connect is dial with several attempts.
func (c *cluster) connect(ctx context.Context, attempts int) (net.Conn, error) {
	var err error
	for range attempts {
		var connection net.Conn
		if connection, err = c.dial(ctx); err == nil {
			c.active.Add(1)
			return connection, nil
		}
		if ctx.Err() != nil || errors.Is(err, errNoHost) {
			return nil, err
		}
	}
	c.exceeded.Add(1)
	return nil, err
}
