package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"l4dump/bench/internal/envoy"
)

// target is the Envoy of a subject.
type target struct {
	*envoy.Envoy
	subject *envoy.Subject
	passed  int64 // bytes that went through it, both ways
	idle    int64 // resident bytes before anything did
}

// kept returns how many bytes the plugin has recorded, when it has given the proxy the metrics of all that passed, which it
// does each second. It is 0 without the plugin.
func (t *target) kept(ctx context.Context) (int64, error) {
	if t.subject.Plugin == "" || t.subject.Module != "" {
		return 0, nil
	}
	const deadline = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		seen, err := t.Counter(ctx, "l4dump_bytes_seen_total")
		if err != nil {
			return 0, err
		}
		if seen == t.passed {
			return t.Counter(ctx, "l4dump_bytes_kept_total")
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the plugin's metrics: %w: it has seen %d bytes of %d", ctx.Err(), seen, t.passed)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// targets are the Envoys of all subjects. They live as long as the measurement and are measured in turn: each start takes
// seconds, which short and frequent turns could not afford, and those are what the noise of a machine shows least in.
type targets []*target

// startTargets starts them. They must be stopped.
func startTargets(ctx context.Context, o envoy.Options, subjects []envoy.Subject, to *service) (targets, error) {
	const workers = 1
	var all targets
	for i := range subjects {
		e, err := envoy.Start(ctx, o, &subjects[i], workers, to.address())
		if err != nil {
			return nil, errors.Join(err, all.stop())
		}
		all = append(all, &target{Envoy: e, subject: &subjects[i]})
		usage, err := e.Usage()
		if err != nil {
			return nil, errors.Join(err, all.stop())
		}
		all[i].idle = usage.ResidentBytes
	}
	return all, nil
}

func (t targets) stop() error {
	var errs []error
	for _, each := range t {
		errs = append(errs, each.Stop())
	}
	return errors.Join(errs...)
}

func (t targets) names() []string {
	var names []string
	for _, each := range t {
		names = append(names, each.subject.Name)
	}
	return names
}

func (t targets) find(name string) (*target, error) {
	for _, each := range t {
		if each.subject.Name == name {
			return each, nil
		}
	}
	return nil, fmt.Errorf("find subject: none is called %q", name)
}
