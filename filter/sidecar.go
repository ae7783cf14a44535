package filter

import (
	"l4dump/internal/abi"
	"l4dump/internal/poll"
	"l4dump/strategy"
)

// pollResult is how a poll of the sidecar ended.
type pollResult uint8

const (
	pollOK          pollResult = iota
	pollUnreachable            // no answer in time, or one that is not the sidecar's (its status is not 200)
	pollInvalid                // an answer that does not parse, or is too large
	pollUnmeasured             // the sidecar has no usage, or none that is new enough
	pollResults
)

var pollNames = [pollResults]string{"ok", "unreachable", "invalid", "unmeasured"}

func (r pollResult) String() string { return pollNames[r] }

// maxStateBytes is the longest answer that is read.
const maxStateBytes = 64 << 10

// sidecar is what a VM knows of the sidecar that one cluster leads to. One VM at a time polls it, for all VMs of the
// process: a lease in shared data says which. What it answers is shared data too.
type sidecar struct {
	_ [0]func() // not comparable: a function that compares sidecars is 0.8 KiB of the plugin

	cluster  string
	lease    *sharedNumber // until when the others leave polling to the VM that polled last
	stateKey string
	// askedUntil is when the answer that is awaited must have come: with a root context that is gone its calls are too.
	askedUntil int64

	cas      uint32         // of the shared answer that state is from
	state    poll.State     // the last answer; its global strategy stays in force while the sidecar is silent
	usage    strategy.Usage // the last one that was measured
	measured int64          // when it was, in nanoseconds since the Unix epoch
	reading  uint64         // counts the answers with usage, so that each counts once for a fuse
}

// sidecar returns the sidecar that cluster leads to.
func (v *vm) sidecar(cluster string) *sidecar {
	c, ok := v.sidecars[cluster]
	if !ok {
		c = &sidecar{cluster: cluster, lease: newSharedNumber("l4dump/lease/" + cluster), stateKey: "l4dump/state/" + cluster}
		seed(c.stateKey, nil)
		v.messages.open(c.stateKey)
		v.sidecars[cluster] = c
	}
	return c
}

// poll asks the sidecar if it is this VM's turn. Only within OnTick.
func (c *sidecar) poll(v *vm, s *strategy.Sidecar, now int64) {
	if now < c.askedUntil || !c.turn(now, s.PollInterval) {
		return
	}
	headers := [][2]string{
		{":method", "GET"},
		{":path", poll.StatePath},
		{":authority", "localhost"},
		{"accept", "application/json"},
		{poll.ReportHeader, string(poll.AppendReports(nil, c.reports(v, now)))},
		{poll.TotalsHeader, string(v.metrics.totals().Append(nil))},
	}
	err := abi.HTTPCall(c.cluster, headers, uint32(s.Timeout), func(bodySize int) {
		c.askedUntil = 0
		c.answer(v, bodySize, s.StaleAfter)
	})
	if err != nil {
		c.result(v, pollUnreachable, "cluster "+c.cluster+" cannot be called", err.Error())
		return
	}
	c.askedUntil = now + s.Timeout.Nanoseconds()
}

// turn reports whether this VM is to poll now: the first that comes a poll interval after the last one. A little less,
// since the VM that polled last ticks again just then, give or take a moment.
func (c *sidecar) turn(now int64, interval strategy.Milliseconds) bool {
	until, version := c.lease.Load()
	if now < until && until <= now+interval.Nanoseconds() {
		return false
	}
	return c.lease.Store(now+interval.Nanoseconds()*9/10, version)
}

// answer shares what the sidecar answered, if it can be read. Usage that is older than staleAfter is shared too: the
// global strategy in it is in force.
func (c *sidecar) answer(v *vm, bodySize int, staleAfter strategy.Milliseconds) {
	if status := abi.HTTPCallStatus(); status != "200" {
		if status == "" {
			status = "none"
		}
		c.result(v, pollUnreachable, "no answer from cluster "+c.cluster+" (status "+status+")", "")
		return
	}
	answer := "the answer of cluster " + c.cluster
	if bodySize > maxStateBytes {
		c.result(v, pollInvalid, answer+" is too large", "")
		return
	}
	body, err := abi.HTTPCallBody(bodySize)
	if err != nil {
		c.result(v, pollInvalid, answer+" cannot be read", err.Error())
		return
	}
	state, err := poll.ParseState(body)
	if err != nil {
		c.result(v, pollInvalid, answer+" is not the sidecar's", err.Error())
		return
	}
	var received [8]byte
	putUint64(&received, uint64(v.Now()))
	_, cas, _ := abi.SharedData(c.stateKey)
	_ = abi.SetSharedData(c.stateKey, append(received[:], body...), cas) // if another VM was faster, its answer stays
	switch {
	case !state.Measured:
		c.result(v, pollUnmeasured, "the sidecar has not measured yet", "")
	case state.Age > staleAfter:
		c.result(v, pollUnmeasured, "the sidecar's last measurement is too old", "")
	default:
		c.result(v, pollOK, "the sidecar reports", "")
	}
}

// result counts a poll, and says what became of it if that is another thing than the last time. detail may differ
// from poll to poll.
func (c *sidecar) result(v *vm, r pollResult, what, detail string) {
	v.metrics.polls[r]++
	if !v.messages.first(c.stateKey, what) {
		return
	}
	level := abi.LevelWarn
	if r == pollOK {
		level = abi.LevelInfo
	}
	if detail != "" {
		what += ": " + detail
	}
	if r != pollOK {
		what += "; nothing is recorded without fresh figures"
	}
	v.messages.log(level, what)
}

// load takes over the shared answer if it is a new one.
func (c *sidecar) load() {
	value, cas, err := abi.SharedData(c.stateKey)
	if err != nil || cas == c.cas || len(value) < 8 {
		return
	}
	state, err := poll.ParseState(value[8:])
	if err != nil { // it was parsed before it was shared
		return
	}
	c.cas, c.state = cas, state
	if state.Measured {
		c.usage = state.Usage
		c.measured = int64(uint64Of(value[:8])) - state.Age.Nanoseconds()
		c.reading++
	}
}

// reports tells the sidecar what the configurations in use do: first those that it governs, since what does not fit is
// left out.
func (c *sidecar) reports(v *vm, now int64) []poll.Report {
	var governed, others []poll.Report
	for p := range v.plugins {
		if p.replacedAt != 0 {
			continue
		}
		r := poll.Report{
			Plugin: p.title, Guard: poll.GuardOther, Reason: p.decide(now, false).Begin.String(), Strategy: p.config.Strategy,
		}
		switch p.sidecar {
		case c:
			r.Guard, r.Soft = poll.GuardSidecar, p.config.Fuse.Soft
			governed = append(governed, r)
			continue
		case nil:
			r.Guard = poll.GuardOff
		}
		others = append(others, r)
	}
	return append(governed, others...)
}
