package sidecar

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// noChange replaces a configuration that equals the last one in the file.
const noChange = "no_change"

// dumper writes Envoy's configuration to its dump files: the bootstrap once, the whole for each portrait.
type dumper struct {
	admin   *envoyAdmin
	files   *dumpFiles
	windows chan string // of accepted portraits
	retry   time.Duration
	metrics *metrics
	// One for each kind of dump.
	bootstrapFailing, failing *incident

	last    digest // of the configuration that was written last
	written bool
}

// dumpQueue is how many portraits may wait for their configuration dump: all types of two windows, and some.
const dumpQueue = 8

// request asks for a dump in a window, and never waits: if too many are pending, the request is dropped and counted.
func (d *dumper) request(window string) {
	select {
	case d.windows <- window:
	default:
		d.metrics.configDumps.WithLabelValues("dropped").Inc()
	}
}

// largeConfig is the size from which memory goes back to the system right after a dump, in bytes: the next one may be
// hours away, and the sidecar's container is small.
const largeConfig = 1 << 20

// maxRetryFactor bounds the time between two tries of the bootstrap, in d.retry.
const maxRetryFactor = 64

// run works until ctx ends. The bootstrap is tried again until Envoy, which may start later, has given it.
func (d *dumper) run(ctx context.Context) {
	defer d.admin.close()
	pause := d.retry
	retry := time.NewTimer(pause)
	defer retry.Stop()
	attempts := 0
	tryBootstrap := func() {
		result, err := d.bootstrap(ctx)
		if ctx.Err() != nil {
			return
		}
		attempts++
		if err == nil || attempts > 1 { // the two start together: the first attempt may come before Envoy answers
			d.bootstrapFailing.report(err)
		}
		if d.count(result, err); err != nil {
			retry.Reset(pause)
			pause = min(2*pause, maxRetryFactor*d.retry) // each try makes Envoy write all of its configuration
		}
	}
	retry.Stop()
	tryBootstrap()
	for {
		select {
		case <-ctx.Done():
			return
		case window := <-d.windows:
			result, err := d.dump(ctx, window)
			d.failing.report(err)
			d.count(result, err)
		case <-retry.C:
			tryBootstrap()
		}
	}
}

// count notes how a dump ended.
func (d *dumper) count(result string, err error) {
	if err != nil {
		result = "failed"
	}
	d.metrics.configDumps.WithLabelValues(result).Inc()
}

// bootstrap writes the static part of the configuration.
func (d *dumper) bootstrap(ctx context.Context) (result string, err error) {
	text, err := d.admin.configDump(ctx)
	if err != nil {
		return "", err
	}
	if len(text) > largeConfig {
		defer debug.FreeOSMemory()
	}
	part, ok, err := bootstrapPart(text)
	if err != nil {
		return "", fmt.Errorf("parse configuration: %w", err)
	}
	if !ok {
		return "", fmt.Errorf("find bootstrap in configuration: want an entry of type %s", bootstrapType)
	}
	config, err := redactConfig(part)
	if err != nil {
		return "", err
	}
	return "bootstrap", d.files.append(staticFile, config.line)
}

// dump writes the configuration if it has changed or begins a file, and else that it has not.
func (d *dumper) dump(ctx context.Context, window string) (result string, err error) {
	text, err := d.admin.configDump(ctx)
	if err != nil {
		return "", err
	}
	if len(text) > largeConfig {
		defer debug.FreeOSMemory()
	}
	config, err := redactConfig(text)
	if err != nil {
		return "", err
	}
	head := "[" + window + "]"
	err = d.files.appendLine(memDumpFile, func(first bool) [][]byte {
		if !first && d.written && config.digest == d.last {
			result = "unchanged"
			return [][]byte{[]byte(head), []byte(noChange)}
		}
		result = "changed"
		return [][]byte{[]byte(head), config.line}
	})
	if err != nil {
		return "", err
	}
	d.last, d.written = config.digest, true
	return result, nil
}
