package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"

	"l4dump/internal/accept"
	"l4dump/internal/host"
)

// listener accepts the connections of one address and assigns them to the workers in turn.
type listener struct {
	server     *Server
	config     *listenerConfig
	extensions []*extension
	cluster    *cluster
	socket     net.Listener
	buffers    *buffers
	next       atomic.Uint32

	total, active, destroyed, missing             *host.Metric
	tcpTotal, tcpReceived, tcpSent, tcpIdleClosed *host.Metric
}

// listen opens the socket. The error says what to do about a taken port.
func (s *Server) listen(config *listenerConfig) (*listener, error) {
	socket, err := new(net.ListenConfig).Listen(context.Background(), "tcp", config.address)
	if err != nil {
		return nil, listenError(err, config.address, fmt.Sprintf(" (listener %q)", config.name),
			config.path+".address.socket_address.port_value", s.config.File)
	}
	scope, tcp := s.stats.listener(config.statPrefix), s.stats.tcp(config.tcp.statPrefix)
	l := &listener{
		server: s, config: config, cluster: s.clusters[config.tcp.cluster], buffers: newBuffers(config.bufferSize), socket: socket,
		total:         scope.counter("downstream_cx_total"),
		active:        scope.gauge("downstream_cx_active"),
		destroyed:     scope.counter("downstream_cx_destroy"),
		missing:       scope.counter("network_extension_config_missing"),
		tcpTotal:      tcp.counter("downstream_cx_total"),
		tcpReceived:   tcp.counter("downstream_cx_rx_bytes_total"),
		tcpSent:       tcp.counter("downstream_cx_tx_bytes_total"),
		tcpIdleClosed: tcp.counter("idle_timeout"),
	}
	return l, nil
}

func listenError(err error, address, what, path, file string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s%s: %w: stop what uses it or change %s in %s", address, what, syscall.EADDRINUSE, path, file)
	}
	return fmt.Errorf("listen on %s%s: %w", address, what, err)
}

// serve accepts until the socket is closed.
func (l *listener) serve() {
	accept.Loop(l.socket, l.server.stopping, func(socket net.Conn) {
		worker := int(l.next.Add(1)-1) % l.server.options.Concurrency
		l.server.connections.Go(func() { l.handle(socket.(*net.TCPConn), worker) })
	}, func(err error) {
		l.server.log.Printf(host.LevelError, "conn_handler", "internal/proxy/listener.go", "accept on %s: %v", l.config.address, err)
	})
}
