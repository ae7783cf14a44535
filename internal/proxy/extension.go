package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"l4dump/internal/host"
)

// extension is a filter of one or several listeners whose configuration may change.
type extension struct {
	name    string
	engines *engines
	current atomic.Pointer[generation]
}

// generation is one configuration of an extension, from its acceptance to the end of its last stream.
type generation struct {
	config *extensionConfig
	filter *host.Filter // nil: allows everything
	engine *sharedEngine
}

// apply makes config the configuration of new connections. If it returns an error, nothing has changed. It must not be
// called by two goroutines at once.
func (x *extension) apply(ctx context.Context, config *extensionConfig, direction int64) error {
	next := &generation{config: config}
	if config.plugin != nil {
		plugin := *config.plugin
		plugin.ListenerDirection = direction
		var err error
		if next.engine, next.filter, err = x.engines.configure(ctx, config, plugin); err != nil {
			return err
		}
	}
	if old := x.current.Swap(next); old != nil {
		x.engines.retire(old)
	}
	return nil
}

// streams are the streams of one connection, one for each filter that looks at it.
type streams []*host.Stream

// open makes a stream, or none for a filter that allows everything; false says that there is no configuration yet.
func (x *extension) open(worker int, connection *host.Connection, to *streams) bool {
	for {
		g := x.current.Load()
		if g == nil {
			return false
		}
		if g.filter == nil {
			return true
		}
		if s, ok := g.filter.NewStream(worker, connection); ok {
			*to = append(*to, s)
			return true
		}
		// Replaced since: the next one is there already.
	}
}

// engines shares an engine between all filters with the same module and VM configuration, as Envoy shares VMs.
type engines struct {
	options host.Options
	node    func(*host.Plugin)
	tasks   sync.WaitGroup
	stopped chan struct{}

	mu    sync.Mutex
	byKey map[engineKey]*sharedEngine
}

type engineKey struct {
	vmID, configuration string
	code                [sha256.Size]byte
}

type sharedEngine struct {
	key    engineKey
	engine *host.Engine
	uses   int // generations
}

// configure makes a filter, on an engine that there is or a new one.
func (e *engines) configure(ctx context.Context, config *extensionConfig, plugin host.Plugin) (*sharedEngine, *host.Filter, error) {
	vm := config.vm
	if config.code != "" {
		var err error
		if vm.Code, err = os.ReadFile(config.code); err != nil {
			return nil, nil, fmt.Errorf("read plugin: %w", err)
		}
	}
	e.node(&plugin)
	e.mu.Lock()
	defer e.mu.Unlock()
	key := engineKey{vm.ID, string(vm.Configuration), sha256.Sum256(vm.Code)}
	shared, ok := e.byKey[key]
	if !ok {
		engine, err := host.NewEngine(ctx, vm, e.options)
		if err != nil {
			return nil, nil, fmt.Errorf("load plugin %s: %w", plugin.Name, err)
		}
		shared = &sharedEngine{key: key, engine: engine}
	}
	filter, err := shared.engine.Configure(ctx, plugin)
	if err != nil {
		err = fmt.Errorf("configure plugin %s: %w", plugin.Name, err)
		if !ok {
			err = errors.Join(err, shared.engine.Close(ctx))
		}
		return nil, nil, err
	}
	e.byKey[key] = shared
	shared.uses++
	return shared, filter, nil
}

// retire lets the streams of an old configuration end, and then its engine if nobody else uses it.
func (e *engines) retire(old *generation) {
	if old.filter == nil {
		return
	}
	e.tasks.Go(func() {
		old.filter.Release()
		select {
		case <-old.filter.Done():
		case <-e.stopped:
			return // close ends all engines
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if old.engine.uses--; old.engine.uses == 0 {
			delete(e.byKey, old.engine.key)
			// The engine has no stream and no timer: closing it only frees memory.
			_ = old.engine.engine.Close(context.Background())
		}
	})
}

// vms returns how many VMs there are, and how many of these have failed.
func (e *engines) vms() (all, failed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, shared := range e.byKey {
		a, f := shared.engine.VMs()
		all, failed = all+a, failed+f
	}
	return all, failed
}

// close ends all engines. The streams must have ended.
func (e *engines) close(ctx context.Context) error {
	close(e.stopped)
	e.tasks.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for key, shared := range e.byKey {
		errs = append(errs, shared.engine.Close(ctx))
		delete(e.byKey, key)
	}
	return errors.Join(errs...)
}
