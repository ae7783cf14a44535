package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"l4dump/internal/host"
)

const discoverySource = "internal/proxy/discovery.go"

// discovery keeps an extension at what a file says. As in Envoy, the file is read again when another one is renamed to its
// name, or anything is renamed in the watched directory; an invalid file leaves the last good configuration.
type discovery struct {
	config    *discoveryConfig
	direction int64
	extension *extension
	log       *host.Logger
	now       func() time.Time
	watcher   *fsnotify.Watcher

	attempt, failure, rejected, success, reload, fail *host.Metric

	mu      sync.Mutex // what /config_dump shows
	version string
	updated time.Time
	last    string // the key of the configuration tried last
}

func newDiscovery(config *discoveryConfig, direction int64, x *extension, s *stats, log *host.Logger, now func() time.Time) (*discovery, error) {
	if _, err := os.Stat(config.path); err != nil {
		return nil, fmt.Errorf("watch extension configuration: %w", err)
	}
	watched := config.watched
	if watched == "" {
		watched = filepath.Dir(config.path)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch extension configuration: %w", err)
	}
	if err := watcher.Add(watched); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", watched, err), watcher.Close())
	}
	scope := s.discovery(config.name)
	return &discovery{
		config: config, direction: direction, extension: x, log: log, now: now, watcher: watcher,
		attempt:  scope.counter("update_attempt"),
		failure:  scope.counter("update_failure"),
		rejected: scope.counter("update_rejected"),
		success:  scope.counter("update_success"),
		reload:   scope.counter("config_reload"),
		fail:     scope.counter("config_fail"),
	}, nil
}

// start applies the file for the first time, or else the default configuration.
func (d *discovery) start(ctx context.Context) error {
	if d.config.immediate {
		if err := d.applyFallback(ctx); err != nil {
			return err
		}
	}
	if !d.update(ctx) && d.config.fallback != nil && !d.config.immediate {
		return d.applyFallback(ctx)
	}
	return nil
}

func (d *discovery) applyFallback(ctx context.Context) error {
	if err := d.extension.apply(ctx, d.config.fallback, d.direction); err != nil {
		return fmt.Errorf("apply default_config of %s: %w", d.config.name, err)
	}
	return nil
}

// watch updates until ctx ends.
func (d *discovery) watch(ctx context.Context) {
	name := filepath.Base(d.config.path)
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-d.watcher.Events:
			if !ok {
				return
			}
			// A rename creates the new name. Kubernetes renames a link in the same directory, hence watched_directory.
			if event.Has(fsnotify.Create) && (d.config.watched != "" || filepath.Base(event.Name) == name) {
				d.update(ctx)
			}
		case err, ok := <-d.watcher.Errors:
			if !ok {
				return
			}
			d.log.Printf(host.LevelWarning, "config", discoverySource, "Filesystem config watch failure: %v", err)
		}
	}
}

// update reads the file and applies it, and returns false if it is invalid.
func (d *discovery) update(ctx context.Context) bool {
	d.attempt.Add(1)
	file, err := readExtensionFile(d.config.path)
	if err != nil {
		d.failure.Add(1)
		d.fail.Add(1)
		d.log.Printf(host.LevelWarning, "config", discoverySource, "Filesystem config update failure: %s", oneLine(err))
		return false
	}
	if err := d.apply(ctx, file); err != nil {
		d.rejected.Add(1)
		d.fail.Add(1)
		d.log.Printf(host.LevelWarning, "config", discoverySource, "Filesystem config update rejected: %s", oneLine(err))
		return false
	}
	d.success.Add(1)
	return true
}

func (d *discovery) apply(ctx context.Context, file *extensionFile) error {
	if len(file.resources) != 1 {
		return fmt.Errorf("want one resource, not %d", len(file.resources))
	}
	resource := file.resources[0]
	if resource.name != d.config.name {
		return fmt.Errorf("want a resource with the name %q, not %q", d.config.name, resource.name)
	}
	if err := d.config.checkType(resource.extension.message); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := resource.extension.key()
	if key == d.last {
		return nil
	}
	d.reload.Add(1) // also what is then rejected, as in Envoy
	if err := d.extension.apply(ctx, resource.extension, d.direction); err != nil {
		return err
	}
	d.last, d.version, d.updated = key, file.version, d.now()
	return nil
}

// oneLine fits an error of several lines into the log.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
