package sidecar

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"l4dump/internal/poll"
	"l4dump/strategy"
)

// maxReports bounds how many reports are remembered, whatever is sent.
const maxReports = 256

// reports are what the plugin's polls have told, by the plugin's name. They come from the network.
type reports struct {
	staleAfter time.Duration

	mu       sync.Mutex
	byName   map[string]polled
	totals   poll.Totals
	totalsAt time.Time
}

// polled are the reports of one name in one poll: several listeners can have a plugin of the same name.
type polled struct {
	at      time.Time
	reports []poll.Report
}

// put remembers the reports of a poll, in the place of what the same plugins told before. It reports whether all could
// be remembered.
func (r *reports) put(now time.Time, list []poll.Report) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	byName := make(map[string][]poll.Report)
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

// putTotals remembers the totals of the process, which each of its polls has.
func (r *reports) putTotals(now time.Time, t poll.Totals) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.totals, r.totalsAt = t, now
}

// freshTotals returns the totals that came last, or nil if none have come or they are stale.
func (r *reports) freshTotals(now time.Time) *Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.totalsAt.IsZero() || now.Sub(r.totalsAt) > r.staleAfter {
		return nil
	}
	t := Totals(r.totals)
	return &t
}

// report is a report with its age.
type report struct {
	poll.Report
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

// decision is whether one plugin records now, and why not.
type decision struct {
	strategy strategy.Strategy
	reason   strategy.Reason
	window   strategy.Window
	open     bool
	shedding strategy.Shedding
}

// decide decides for the plugin that r is of. What only the plugin knows it has told: its fuse has a memory, so it may
// still be open while usage is under the limit again, and only the plugin sees the proxy's log level. A plugin that
// another sidecar governs has told everything.
func (v *view) decide(r *poll.Report, global *strategy.Strategy, fresh bool) decision {
	told, known := strategy.ReasonOf(r.Reason)
	in := strategy.Inputs{Application: r.Strategy, Now: v.now.UnixNano()}
	switch told {
	case strategy.CPULimit, strategy.MemoryLimit:
		in.Fuse = told
	case strategy.LogLevel:
		in.Sink = told
	}
	if r.Guard == poll.GuardSidecar {
		in.Global, in.Guarded, in.Fresh, in.Soft = global, true, fresh, r.Soft
		in.Usage = strategy.Usage{CPU: v.usage.cpu.Percent, Memory: v.usage.memory.Percent}
	}
	d := strategy.Decide(&in)
	if r.Guard == poll.GuardOther && known {
		d.Begin = told
	}
	return decision{strategy: d.Strategy, reason: d.Begin, window: d.Window, open: d.Open, shedding: d.Shedding}
}

// view is all that one answer is made of, taken at one moment.
type view struct {
	now       time.Time
	usage     reading
	global    globalRecord
	persisted bool
	reports   []report
	decisions []decision // of each report
	governed  int        // how many of them this sidecar makes
	decision             // that stands for all plugins that are governed: the one that records, else the nearest to it
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
	var governed []decision
	for _, r := range v.reports {
		d := v.decide(&r.Report, global, fresh)
		v.decisions = append(v.decisions, d)
		if r.Guard == poll.GuardSidecar {
			governed = append(governed, d)
		}
	}
	v.governed = len(governed)
	if v.governed == 0 {
		none := poll.Report{Guard: poll.GuardSidecar, Strategy: strategy.DefaultStrategy()}
		v.decision = v.decide(&none, global, fresh)
		return v
	}
	v.decision = slices.MinFunc(governed, func(a, b decision) int {
		return cmp.Compare(a.reason.Distance(), b.reason.Distance())
	})
	return v
}

// anyRecords reports whether a plugin records now, one that this sidecar does not govern included.
func (v *view) anyRecords() bool {
	return v.recording() || slices.ContainsFunc(v.decisions, decision.recording)
}

// ungoverned are the names of the plugins that record and that this sidecar does not govern, each once.
func (v *view) ungoverned() (names []string) {
	for i, r := range v.reports {
		if r.Guard != poll.GuardSidecar && v.decisions[i].recording() {
			names = append(names, r.Plugin)
		}
	}
	return slices.Compact(names)
}

func (d decision) recording() bool { return d.reason == strategy.Recorded }

func (d decision) message() Window {
	start := time.Unix(d.window.Start, 0).UTC()
	return Window{
		ID:    d.windowID(),
		Start: start,
		End:   start.Add(time.Duration(d.strategy.Duration) * time.Second),
		Next:  time.Unix(d.strategy.Next(d.window), 0).UTC(),
		Open:  d.open,
	}
}

func (d decision) windowID() string { return uuid.UUID(d.window.UUID()).String() }

// state returns the answer to GET /v1/state.
func (v view) state() State {
	return State{
		Version: poll.StateVersion, Usage: v.usage.message(v.now), Global: v.global.Strategy,
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
			Plugin: r.Plugin, Guard: string(r.Guard), Reported: r.Reason, Application: Strategy(r.Strategy), Strategy: Strategy(d.strategy),
			Recording: d.recording(), Reason: d.reason.String(), Shedding: int(d.shedding.Level), AgeMillis: r.age.Milliseconds(),
		}
	}
	return list
}
