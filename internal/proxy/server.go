package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"l4dump/internal/host"
)

// Options is how a configuration is run.
type Options struct {
	// Concurrency is the number of workers; 0 is the number of CPUs.
	Concurrency int
	// Log gets the lines of the log, each in one Write.
	Log io.Writer
	// LogLevel is the lowest level of the lines that are written.
	LogLevel host.LogLevel
	// CacheDir keeps compiled plugins; empty keeps them in memory.
	CacheDir string
	// DrainTime is how long connections may continue after the server was told to stop.
	DrainTime time.Duration
	// Version is what /server_info shows.
	Version string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Server runs a configuration. Its methods may be called by several goroutines at once.
type Server struct {
	config    *Config
	options   Options
	log       *host.Logger
	stats     stats
	clusters  map[string]*cluster
	engines   *engines
	listeners []*listener
	watches   []*discovery
	admin     *admin // nil: none
	started   time.Time
	nextID    atomic.Uint64

	// ctx ends when connections must end.
	ctx         context.Context
	cancel      context.CancelFunc
	stopping    chan struct{} // closed when the server is told to stop
	stop        func()
	hurried     chan struct{} // closed when draining must end
	hurry       func()
	stopped     chan struct{}  // closed when everything has ended
	err         error          // of the end; read after stopped
	accepting   sync.WaitGroup // listeners
	serving     sync.WaitGroup // the administration interface and the watched files
	connections sync.WaitGroup

	mu   sync.Mutex
	live map[*connection]struct{} // nil: no more
}

// Start runs config until ctx ends or the administration interface is told to quit. When it returns,
// the listeners accept connections.
//
// A plugin that rejects its configuration in the file itself is an error, as in Envoy; one in a file of extension
// configurations leaves the default configuration, or else closes all connections until it is fixed.
func Start(ctx context.Context, config *Config, options Options) (*Server, error) {
	if options.Concurrency <= 0 {
		options.Concurrency = runtime.NumCPU()
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Server{
		config: config, options: options, started: options.Now(),
		log:      host.NewLogger(options.Log, options.LogLevel, os.Getpid(), options.Now),
		clusters: make(map[string]*cluster),
		stopping: make(chan struct{}), hurried: make(chan struct{}), stopped: make(chan struct{}),
		live: make(map[*connection]struct{}),
	}
	s.stop = sync.OnceFunc(func() { close(s.stopping) })
	s.hurry = sync.OnceFunc(func() { close(s.hurried) })
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, c := range config.clusters {
		s.clusters[c.name] = newCluster(c, &s.stats)
	}
	s.engines = &engines{
		options: host.Options{
			Workers: options.Concurrency, Now: options.Now, Log: s.log, Shared: new(host.SharedData), Metrics: &s.stats.plugins,
			HTTP: httpClient{s.clusters}, CacheDir: options.CacheDir,
		},
		node: func(p *host.Plugin) {
			p.NodeID, p.NodeCluster = config.Bootstrap.GetNode().GetId(), config.Bootstrap.GetNode().GetCluster()
		},
		stopped: make(chan struct{}),
		byKey:   make(map[engineKey]*sharedEngine),
	}
	s.stats.own.Gauge("server.concurrency").Set(uint64(options.Concurrency))
	if err := s.open(ctx); err != nil {
		s.stop()
		return nil, errors.Join(err, s.close())
	}
	s.stats.own.Gauge("server.live").Set(1)
	for _, w := range s.watches {
		s.serving.Go(func() { w.watch(s.ctx) })
	}
	for _, l := range s.listeners {
		s.accepting.Go(l.serve)
	}
	if s.admin != nil {
		s.serving.Go(s.admin.serve)
	}
	go s.wait(ctx)
	return s, nil
}

// open opens the sockets first, so that a taken port shows before a plugin is compiled.
func (s *Server) open(ctx context.Context) error {
	var errs []error
	for i := range s.config.listeners {
		l, err := s.listen(&s.config.listeners[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.listeners = append(s.listeners, l)
	}
	if s.config.Bootstrap.GetAdmin() != nil {
		admin, err := s.listenAdmin()
		errs = append(errs, err)
		s.admin = admin
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	shared := make(map[string]*extension)
	for _, l := range s.listeners {
		for i := range l.config.filters {
			x, err := s.extension(ctx, &l.config.filters[i], l.config.direction, shared)
			if err != nil {
				return err
			}
			l.extensions = append(l.extensions, x)
		}
	}
	return nil
}

// extension returns the extension of a filter; filters that are the same share one.
func (s *Server) extension(ctx context.Context, config *filterConfig, direction int64, shared map[string]*extension) (*extension, error) {
	x := &extension{engines: s.engines}
	if d := config.discovery; d != nil {
		key := fmt.Sprintf("file %d %s %s", direction, d.name, d.path)
		if known, ok := shared[key]; ok {
			return known, nil
		}
		shared[key], x.name = x, d.name
		watch, err := newDiscovery(d, direction, x, &s.stats, s.log, s.options.Now)
		if err != nil {
			return nil, err
		}
		s.watches = append(s.watches, watch)
		return x, watch.start(ctx)
	}
	key := fmt.Sprintf("typed %d %s", direction, config.extension.key())
	if known, ok := shared[key]; ok {
		return known, nil
	}
	shared[key] = x
	return x, x.apply(ctx, config.extension, direction)
}

// wait stops the server when it is time to.
func (s *Server) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
		s.stop()
	case <-s.stopping:
	}
	s.err = s.close()
	close(s.stopped)
}

// close stops accepting, lets connections continue for the drain time, and ends everything.
func (s *Server) close() error {
	for _, l := range s.listeners {
		_ = l.socket.Close()
	}
	s.accepting.Wait()
	s.drain()
	s.cancel()
	for _, w := range s.watches {
		_ = w.watcher.Close()
	}
	if s.admin != nil {
		s.admin.close()
	}
	s.serving.Wait()
	err := s.engines.close(context.WithoutCancel(s.ctx))
	for _, c := range s.clusters {
		c.transport.CloseIdleConnections()
	}
	return err
}

func (s *Server) drain() {
	done := make(chan struct{})
	go func() {
		s.connections.Wait()
		close(done)
	}()
	timer := time.NewTimer(s.options.DrainTime)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-timer.C:
	case <-s.hurried:
	}
	s.cancel() // ends those that are still connecting
	for _, c := range s.takeLive() {
		c.end(host.CloseLocal, false)
	}
	<-done
}

// track returns false if connections are no longer served.
func (s *Server) track(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		return false
	}
	s.live[c] = struct{}{}
	return true
}

func (s *Server) untrack(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, c)
}

func (s *Server) takeLive() []*connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*connection
	for c := range s.live {
		all = append(all, c)
	}
	s.live = nil
	return all
}

// Listener is a listener that accepts connections.
type Listener struct {
	Name string
	Addr net.Addr
}

// Listeners returns the listeners in the order of the file.
func (s *Server) Listeners() []Listener {
	var all []Listener
	for _, l := range s.listeners {
		all = append(all, Listener{l.config.name, l.socket.Addr()})
	}
	return all
}

// AdminAddr returns the address of the administration interface; nil if there is none.
func (s *Server) AdminAddr() net.Addr {
	if s.admin == nil {
		return nil
	}
	return s.admin.socket.Addr()
}

// Wait returns when the server has ended.
func (s *Server) Wait() error {
	<-s.stopped
	return s.err
}

// Hurry ends the connections that are left, if the server was told to stop.
func (s *Server) Hurry() { s.hurry() }

// Connections returns how many connections there are.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// PluginMetrics returns the values of the plugins' metrics by the names that they gave. After Wait they hold all that the
// plugins have counted.
func (s *Server) PluginMetrics() map[string]uint64 {
	values := make(map[string]uint64)
	for _, m := range s.stats.plugins.All() {
		values[m.Name] = m.Value()
	}
	return values
}

// Stopping is closed when the server was told to stop.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }
