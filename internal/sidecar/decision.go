package sidecar

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"l4dump/strategy"
)

// maxReports bounds how many reports are remembered, whatever is sent.
const maxReports = 256

// reports are what the plugin's polls have told, by the plugin's name. They come from the network.
type reports struct {
	staleAfter time.Duration

	mu     sync.Mutex
	byName map[string]polled
}

// polled are the reports of one name in one poll: several listeners can have a plugin of the same name.
type polled struct {
	at      time.Time
	reports []strategy.Report
}

// put remembers the reports of a poll, in the place of what the same plugins told before. It reports whether all could
// be remembered.
func (r *reports) put(now time.Time, list []strategy.Report) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	byName := make(map[string][]strategy.Report)
	for _, report := range list {
		byName[report.Plugin] = append(byName[report.Plugin], report)
	}
	count := 0
	for name, p := range r.byName {
		if byName[name] != nil || now.Sub(p.at) > r.staleAfter {
			delete(r.byName, name)
			continue
		}
		count += len(p.reports)
	}
	if count+len(list) > maxReports {
		return false
	}
	for name, list := range byName {
		r.byName[name] = polled{at: now, reports: list}
	}
	return true
}

// report is a report with its age.
type report struct {
	strategy.Report
	age time.Duration
}

// fresh returns the reports that are not stale, by name.
func (r *reports) fresh(now time.Time) []report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []report
	for _, p := range r.byName {
		age := now.Sub(p.at)
		if age > r.staleAfter {
			continue
		}
		for _, told := range p.reports {
			list = append(list, report{Report: told, age: max(age, 0)})
		}
	}
	slices.SortStableFunc(list, func(a, b report) int { return cmp.Compare(a.Plugin, b.Plugin) })
	return list
}

// decision is whether one strategy records now, and why not.
type decision struct {
	strategy strategy.Strategy
	reason   strategy.Reason
	window   strategy.Window
	open     bool
}

// decide merges application with global and applies the window and the limits, in the plugin's order. told is the
// plugin's own reason: its fuse has a memory, so it may still be open where usage is under the limit again, and only it
// sees the proxy's log level.
func decide(application strategy.Strategy, global *strategy.Strategy, told string, usage reading, fresh bool,
	now time.Time,
) decision {
	merged, reason := strategy.Merge(application, global)
	window, open := strategy.WindowAt(now.UnixNano(), merged)
	d := decision{strategy: merged, reason: reason, window: window, open: open}
	switch {
	case reason != strategy.Recorded:
	case !open:
		d.reason = strategy.WindowClosed
	case !fresh:
		d.reason = strategy.UsageUnknown
	case usage.cpu.Percent >= merged.CPUMaxRate || told == strategy.CPULimit.String():
		d.reason = strategy.CPULimit
	case usage.memory.Percent >= merged.MemMaxRate || told == strategy.MemoryLimit.String():
		d.reason = strategy.MemoryLimit
	case told == strategy.LogLevel.String():
		d.reason = strategy.LogLevel
	}
	return d
}

// rank orders reasons by how far recording is off; 0 is that it goes on.
func rank(r strategy.Reason) int {
	return slices.Index([]strategy.Reason{
		strategy.Recorded, strategy.LogLevel, strategy.CPULimit, strategy.MemoryLimit, strategy.UsageUnknown, strategy.WindowClosed,
		strategy.SwitchedOff, strategy.ForcedOff,
	}, r)
}

// view is all that one answer is made of, taken at one moment.
type view struct {
	now       time.Time
	usage     reading
	global    globalRecord
	persisted bool
	reports   []report
	decisions []decision // of each report
	decision             // that stands for all: the one that records, else the one that is nearest to it
}

// view looks at everything at once. Without a plugin that reports the application's strategy counts as off: the global
// one alone decides.
func (s *Server) view() view {
	v := view{now: s.options.Now(), usage: read(s.options.Usage)}
	v.global, v.persisted = s.store.get()
	v.reports = s.reports.fresh(v.now)
	fresh := v.usage.fresh(v.now, s.options.UsageStaleAfter)
	var global *strategy.Strategy
	if v.global.Strategy != nil {
		global = (*strategy.Strategy)(v.global.Strategy)
	}
	for _, r := range v.reports {
		v.decisions = append(v.decisions, decide(r.Strategy, global, r.Reason, v.usage, fresh, v.now))
	}
	if len(v.decisions) == 0 {
		v.decision = decide(strategy.DefaultStrategy(), global, "", v.usage, fresh, v.now)
		return v
	}
	v.decision = slices.MinFunc(v.decisions, func(a, b decision) int { return cmp.Compare(rank(a.reason), rank(b.reason)) })
	return v
}

func (d decision) recording() bool { return d.reason == strategy.Recorded }

func (d decision) message() Window {
	start := time.Unix(d.window.Start, 0).UTC()
	return Window{
		ID:    d.windowID(),
		Start: start,
		End:   start.Add(time.Duration(d.strategy.Duration) * time.Second),
		Next:  start.Add(time.Duration(d.strategy.Interval) * time.Second),
		Open:  d.open,
	}
}

func (d decision) windowID() string { return uuid.UUID(d.window.UUID()).String() }

// state returns the answer to GET /v1/state.
func (v view) state() State {
	return State{
		Version: strategy.StateVersion, Usage: v.usage.message(v.now), Global: v.global.Strategy,
		Revision: v.global.Revision, By: v.global.By, At: v.global.At,
		Strategy: Strategy(v.strategy), Recording: v.recording(), Reason: v.reason.String(), Window: v.message(),
	}
}

// etag names what a state says, its ages apart: with the time at which each figure was taken in their place.
func (v view) etag() (string, error) {
	state := v.state()
	if state.Usage != nil {
		state.Usage.CPU.AgeMillis = v.usage.cpu.Taken.UnixNano()
		state.Usage.Memory.AgeMillis = v.usage.memory.Taken.UnixNano()
	}
	text, err := json.Marshal(state)
	if err != nil {
		return "", err
	}
	return weakTag(text), nil
}

func (v view) globalMessage() Global {
	return Global{
		Strategy: v.global.Strategy, Revision: v.global.Revision, By: v.global.By, At: v.global.At, Persisted: v.persisted,
	}
}

func (v view) pluginMessages() []PluginStatus {
	list := make([]PluginStatus, len(v.reports))
	for i, r := range v.reports {
		d := v.decisions[i]
		list[i] = PluginStatus{
			Plugin: r.Plugin, Reported: r.Reason, Application: Strategy(r.Strategy), Strategy: Strategy(d.strategy),
			Recording: d.recording(), Reason: d.reason.String(), AgeMillis: r.age.Milliseconds(),
		}
	}
	return list
}
