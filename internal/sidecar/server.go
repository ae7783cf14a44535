// Package sidecar is the sidecar of the plugin: it tells it how busy the machine is and what the global strategy is,
// takes portraits from the application, and dumps Envoy's configuration. Its interface is HTTP (openapi.yaml).
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// Server is a sidecar that runs.
type Server struct {
	options   Options
	log       *slog.Logger
	store     *store
	reports   *reports
	files     *dumpFiles
	portraits *portraits
	file      *strategyFile // nil where none is watched
	admin     *envoyAdmin   // nil where Envoy's address is not known
	dumper    *dumper       // likewise
	metrics   *metrics
	badReport *incident
	unwritten *incident // the state file

	slots, portraitSlots, strategySlots slots

	endpoints []Endpoint
	servers   []*http.Server
	closers   []func() error
	cancel    context.CancelFunc
	done      chan struct{}
	err       error // set before done is closed
}

// Start starts a sidecar. It answers when Start returns, and until ctx ends or Close is called. Nothing is left open
// after an error.
func Start(ctx context.Context, options Options) (*Server, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	s := &Server{
		options: options, log: options.Logger, done: make(chan struct{}),
		slots:         make(slots, options.limits.requests),
		portraitSlots: make(slots, options.limits.portraits),
		strategySlots: make(slots, options.limits.strategies),
	}
	listeners, err := s.open(ctx)
	if err != nil {
		return nil, errors.Join(err, s.release())
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go s.run(ctx, listeners)
	return s, nil
}

// Run starts a sidecar and waits for its end, which is ctx's.
func Run(ctx context.Context, options Options) error {
	s, err := Start(ctx, options)
	if err != nil {
		return err
	}
	return s.Wait()
}

// Endpoints returns where it listens, with the ports that it got.
func (s *Server) Endpoints() []Endpoint { return s.endpoints }

// Wait returns when the sidecar has ended and nothing of it runs any more: nil where it was told to end.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Close ends the sidecar and waits. Requests that are under way have a few seconds.
func (s *Server) Close() error {
	s.cancel()
	return s.Wait()
}

// open makes everything that can fail, the listeners last.
func (s *Server) open(ctx context.Context) ([]net.Listener, error) {
	o := s.options
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	if err := s.lock(); err != nil {
		return nil, err
	}
	folder, closeFolder, err := o.openFolder(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	s.closers = append(s.closers, closeFolder)
	if s.store, err = openStore(o.StateFile, o.Now); err != nil {
		return nil, err
	}
	s.store.write = o.writeState
	s.reports = &reports{staleAfter: o.ReportStaleAfter, byName: make(map[string]polled)}
	s.metrics = newMetrics(s)
	writing := &incident{log: s.log, failed: "cannot write dump files; all else goes on", ended: "dump files are written again"}
	s.files = &dumpFiles{
		rotation: o.Rotation, now: o.Now, folder: folder, born: make(map[string]time.Time),
		changed: func(err error) {
			writing.report(err)
			s.metrics.writeFailing.Set(number(err != nil))
			if err != nil {
				s.metrics.writeFailures.Inc()
			}
		},
	}
	if err := s.files.measure(); err != nil {
		return nil, err
	}
	s.portraits = &portraits{files: s.files, taken: make(map[portraitKey]time.Time)}
	last, err := s.files.tail(portraitFile, int64(len(businessTypes))*(o.MaxPortraitBytes+maxHeadBytes))
	if err != nil {
		return nil, err
	}
	s.portraits.restore(last, o.Now())
	s.badReport = &incident{
		log: s.log, failed: "cannot read a plugin's report", ended: "plugins' reports are read again",
		pause: reportPause, now: o.Now,
	}
	s.unwritten = &incident{
		log: s.log, failed: "cannot write the global strategy; it is in force until a restart", ended: "the global strategy is written",
	}
	if o.StrategyFile != "" {
		path, err := filepath.Abs(o.StrategyFile)
		if err != nil {
			return nil, fmt.Errorf("find strategy file: %w", err)
		}
		s.file = &strategyFile{
			path: path, store: s.store, log: s.log, poll: o.limits.filePoll, quiet: o.limits.fileQuiet,
			written: s.stateWritten,
		}
		s.file.load()
	}
	if o.EnvoyAdmin != "" {
		if s.admin, err = newEnvoyAdmin(o.EnvoyAdmin, o.EnvoyAdminRemote, o.MaxConfigBytes); err != nil {
			return nil, err
		}
		s.dumper = &dumper{
			admin: s.admin, files: s.files, windows: make(chan string, dumpQueue), retry: o.limits.retry, metrics: s.metrics,
			bootstrapFailing: &incident{
				log: s.log, failed: "cannot dump Envoy's bootstrap; it is tried again", ended: "Envoy's bootstrap is dumped",
			},
			failing: &incident{
				log: s.log, failed: "cannot dump Envoy's configuration", ended: "Envoy's configuration is dumped again",
			},
		}
	}
	return s.listen(ctx)
}

// reportPause is the least time between two lines about reports that cannot be read.
const reportPause = time.Minute

// lock keeps a second sidecar off the folder.
func (s *Server) lock() error {
	dir, err := os.Open(s.options.Dir)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	s.closers = append(s.closers, dir.Close)
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock folder %s: another sidecar uses it", s.options.Dir)
		}
		return fmt.Errorf("lock folder %s: %w", s.options.Dir, err)
	}
	return nil
}

func (s *Server) listen(ctx context.Context) ([]net.Listener, error) {
	access, err := newAccess(s.options)
	if err != nil {
		return nil, err
	}
	mux := s.handler()
	var listeners []net.Listener
	for _, e := range s.options.Listen {
		l, resolved, err := e.listen(ctx, s.options.SocketMode, s.options.SocketOwner)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", e, err)
		}
		s.closers = append(s.closers, ignoreClosed(l))
		s.endpoints = append(s.endpoints, resolved)
		listeners = append(listeners, netutil.LimitListener(l, s.options.limits.connections))
		s.servers = append(s.servers, &http.Server{
			Handler:           s.guard(resolved, access, mux),
			TLSConfig:         access.tls.Clone(),
			ReadHeaderTimeout: s.options.limits.headerTimeout,
			ReadTimeout:       s.options.limits.readTimeout,
			WriteTimeout:      s.options.limits.writeTimeout,
			IdleTimeout:       s.options.limits.idleTimeout,
			MaxHeaderBytes:    s.options.limits.headerBytes,
			// What broken clients cause, at a level that cannot fill a log by default.
			ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		})
	}
	return listeners, nil
}

// run works until ctx ends or a listener fails.
func (s *Server) run(ctx context.Context, listeners []net.Listener) {
	defer close(s.done)
	defer s.cancel()
	var wait sync.WaitGroup
	failed := make(chan error, len(listeners))
	for i, l := range listeners {
		wait.Go(func() {
			err := s.serve(i, l)
			if !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", s.endpoints[i], err)
			}
		})
		s.log.Info("listening", "address", s.endpoints[i].String())
	}
	background, stop := context.WithCancel(ctx)
	defer stop()
	if s.file != nil {
		wait.Go(func() { s.file.run(background) })
	}
	if s.dumper != nil {
		wait.Go(func() { s.dumper.run(background) })
	}
	wait.Go(func() { s.keepState(background) })

	select {
	case <-ctx.Done():
	case s.err = <-failed:
	}
	stop()
	s.shutdown()
	wait.Wait()
	s.err = errors.Join(s.err, s.release())
}

func (s *Server) serve(i int, l net.Listener) error {
	if s.endpoints[i].TLS {
		return s.servers[i].ServeTLS(l, "", "")
	}
	return s.servers[i].Serve(l)
}

// shutdown lets requests end, but not for ever.
func (s *Server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.limits.shutdown)
	defer cancel()
	var wait sync.WaitGroup
	for _, server := range s.servers {
		wait.Go(func() {
			if server.Shutdown(ctx) != nil {
				_ = server.Close()
			}
		})
	}
	wait.Wait()
}

// keepState writes a strategy that the disk refused as soon as it takes it.
func (s *Server) keepState(ctx context.Context) {
	retry := time.NewTicker(s.options.limits.retry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
			if tried, err := s.store.retry(); tried {
				s.stateWritten(err)
			}
		}
	}
}

// stateWritten notes how writing the state file went. What counts is the last write, whose result may be here already.
func (s *Server) stateWritten(err error) {
	if _, persisted := s.store.get(); persisted {
		err = nil
	}
	s.unwritten.report(err)
}

// release closes what open has opened, in the other order.
func (s *Server) release() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// ignoreClosed closes l, which its server may have closed before.
func ignoreClosed(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func openRootFolder(dir string) (dumpFolder, func() error, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	return rootFolder{root: root}, root.Close, nil
}
