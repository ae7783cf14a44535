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
)

// Server is a sidecar that runs.
type Server struct {
	options   Options
	log       *slog.Logger
	store     *store
	reports   *reports
	files     *dumpFiles
	portraits *portraits
	file      *strategyFile // nil if none is watched
	admin     *envoyAdmin   // nil if Envoy's address is not known
	dumper    *dumper       // nil if admin is
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
	for _, warning := range s.warnings(view{}) {
		s.log.Warn(warning)
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go s.run(ctx, listeners)
	return s, nil
}

// Endpoints returns where it listens, with the ports that it got.
func (s *Server) Endpoints() []Endpoint { return s.endpoints }

// Wait returns when the sidecar has ended and none of its goroutines runs: nil if it was told to end.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Close ends the sidecar and waits. Requests in progress have a few seconds.
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
	s.store.write, s.store.written = o.writeState, s.stateWritten
	s.reports = &reports{staleAfter: o.ReportStaleAfter, byName: make(map[string]polled)}
	s.metrics = newMetrics(s)
	writing := &incident{log: s.log, failed: "cannot write dump files; all else continues", ended: "dump files are written again"}
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
	s.portraits = &portraits{files: s.files, taken: make(map[portraitKey]time.Time), writing: make(map[portraitKey]bool)}
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

// lock prevents a second sidecar from using the folder.
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
		l, resolved, err := s.options.listen(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", e, err)
		}
		limited := limitConnections(l, s.options.limits.connections)
		s.closers = append(s.closers, ignoreClosed(limited))
		s.endpoints = append(s.endpoints, resolved)
		listeners = append(listeners, limited)
		s.servers = append(s.servers, &http.Server{
			Handler:           s.guard(resolved, access, mux),
			TLSConfig:         access.tls.Clone(),
			ConnState:         limited.changed,
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
	var serving sync.WaitGroup
	failed := make(chan error, len(listeners))
	for i, l := range listeners {
		serving.Go(func() {
			err := s.serve(i, l)
			if !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", s.endpoints[i], err)
			}
		})
		s.log.Info("listening", "address", s.endpoints[i].String())
	}
	var background sync.WaitGroup
	working, stop := context.WithCancel(ctx)
	defer stop()
	if s.file != nil {
		background.Go(func() { s.file.run(working) })
	}
	if s.dumper != nil {
		background.Go(func() { s.dumper.run(working) })
	}
	background.Go(func() { s.sayLater(working) })
	saving, stopSaving := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSaving()
	background.Go(func() { s.store.run(saving, s.options.limits.retry) })

	select {
	case <-ctx.Done():
	case s.err = <-failed:
	}
	stop()
	s.shutdown()
	serving.Wait()
	stopSaving() // after the last request, which may have set a strategy
	if !s.waitFor(&background) {
		s.err = errors.Join(s.err, errors.New("stop: a write to the disk does not end"))
	}
	s.err = errors.Join(s.err, s.release())
}

// waitFor waits for the goroutines that write to the disk, for a bounded time. It reports whether all of it has ended.
func (s *Server) waitFor(background *sync.WaitGroup) bool {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		background.Wait()
	}()
	patience := time.NewTimer(s.options.limits.shutdown)
	defer patience.Stop()
	select {
	case <-ended:
		return true
	case <-patience.C:
		return false
	}
}

func (s *Server) serve(i int, l net.Listener) error {
	if s.endpoints[i].TLS {
		return s.servers[i].ServeTLS(l, "", "")
	}
	return s.servers[i].Serve(l)
}

// shutdown lets requests end, for a bounded time.
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

// sayLater logs what an incident kept back, when its pause is over, even if nothing reports any more.
func (s *Server) sayLater(ctx context.Context) {
	tick := time.NewTicker(s.options.limits.retry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.badReport.flush()
		}
	}
}

// stateWritten notes how writing the state file went. What counts is the last change, which may be on disk already.
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
