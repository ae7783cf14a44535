package filter

import (
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/internal/fault"
	"l4dump/internal/mask"
	"l4dump/record"
	"l4dump/strategy"
)

// On each tick a plugin looks at the sidecar, and gives the proxy the metrics: every second, or more often if the sidecar
// is polled, so that all workers follow it soon.
const (
	maxTickMilliseconds = 1000
	minTickMilliseconds = 50
	ticksPerPoll        = 4
)

// plugin is one configuration in one VM: a root context.
type plugin struct {
	types.DefaultPluginContext
	vm     *vm
	title  string // the plugin's name in the proxy's configuration
	name   string // title and root id: what a later configuration replaces
	config strategy.Config
	valid  bool // the configuration that was given last is the one in use
	sink   sink
	mask   *mask.Mask      // nil if nothing is masked
	shared strategy.Shared // of its connections
	block  int             // bytes to ask the proxy for at a time

	ticks      bool    // the proxy calls OnTick
	replacedAt int64   // when a newer one of the name came, 0 while it is in use; it serves the connections it has
	successor  *plugin // that newer one
	borrowed   bool    // the configuration is the predecessor's, since this one's is not valid

	// What the sidecar allows; refresh sets it.
	inputs   strategy.Inputs // of the decision, as far as they do not change with each read
	off      strategy.Reason // why the strategy's switch keeps it off, or Recorded
	closed   bool            // no window is open, nor opens before the next tick
	sidecar  *sidecar        // nil if the guard is off
	fuse     strategy.Fuse
	reading  uint64            // the sidecar's reading that the fuse has seen last, from 1
	measured int64             // when its usage was measured
	stopped  strategy.Reason   // why recording was said to have stopped, or Recorded
	shedding strategy.Shedding // the last decision's

	window   strategy.Window // the one that windowID is of
	windowID record.UUID
	current  strategy.Window // the last decision's: the one that began last
}

// What a plugin says things about, besides its configuration.
const (
	aboutName = "\x00name"
	aboutStop = "\x00stopped"
)

// blockBytes is about how much of a read the plugin asks the proxy for at a time: less than a read can be (1 MiB), so
// that a VM's memory stays small and the bytes stay in the processor's cache.
const blockBytes = 64 << 10

// OnPluginStart implements types.PluginContext. A configuration that is not valid does not stop the proxy: every fault
// is logged, and the plugin's last good configuration in this VM stays, or none, which records nothing.
func (p *plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	v := p.vm
	p.title = property("plugin_name")
	p.name = p.title + "\x00" + property("plugin_root_id")
	for _, about := range []string{"", aboutName, aboutStop} {
		v.messages.open(p.name + about)
	}
	last := v.newest[p.name]
	v.newest[p.name] = p
	v.plugins[p] = true
	p.shared = v.shared(p.name)
	if last != nil {
		last.replacedAt, last.successor = v.Now(), p
	}

	config, digest, err := p.read(size)
	p.valid = err == nil
	switch {
	case p.valid:
		p.config = config
		v.messages.say(abi.LevelInfo, p.name, "configured: "+describe(&config)+", digest "+digest)
	case last != nil:
		p.config, p.borrowed = last.config, true
	default:
		p.config = inert()
	}
	if err != nil {
		p.sayFaults(err)
	}
	p.use()
	if err := abi.SetTickPeriod(p.tickMilliseconds()); err != nil {
		v.messages.log(abi.LevelError, "set the tick period: "+err.Error())
	} else {
		p.ticks = true
	}
	p.refresh()
	return types.OnPluginStartStatusOK
}

// inert is the configuration of a plugin that was never given a valid one. It has no sidecar, which could switch on
// what was never valid.
func inert() strategy.Config {
	config := strategy.DefaultConfig()
	config.Guard = strategy.GuardOff
	return config
}

// read parses the configuration. digest tells configurations apart.
func (p *plugin) read(size int) (_ strategy.Config, digest string, _ error) {
	text, err := abi.PluginConfiguration(size)
	if err != nil {
		return strategy.Config{}, "", fault.Faults{{Message: "read the configuration: " + err.Error()}}
	}
	digest = record.Digest(text)
	config, err := strategy.Parse(text)
	if err != nil {
		return strategy.Config{}, "", err
	}
	if err := checkLineBytes(&config.Output, p.nameBytes()); err != nil {
		return strategy.Config{}, "", err
	}
	return config, digest, nil
}

// nameBytes is how much of a log line the proxy takes for names.
func (p *plugin) nameBytes() int {
	return len(p.title) + len(property("plugin_root_id")) + len(property("plugin_vm_id"))
}

// use sets what follows from p.config.
func (p *plugin) use() {
	if p.sink != nil {
		p.sink.flush()
	}
	p.sink = newLogSink(p.vm, &p.config.Output, p.nameBytes())
	payload := p.sink.payload()
	p.block = max(blockBytes-blockBytes%payload, payload)
	p.mask = nil
	if !p.config.Capture.Mask.Empty() {
		p.mask = mask.New(p.config.Capture.Mask)
	}
	p.inputs = strategy.Inputs{Application: p.config.Strategy, Guarded: p.config.Guard == strategy.GuardSidecar, Soft: p.config.Fuse.Soft}
	p.sidecar = nil
	if p.inputs.Guarded {
		p.sidecar = p.vm.sidecar(p.config.Sidecar.Cluster)
	}
}

// sayFaults logs every fault, once for the whole proxy, and once more if they come back after a valid configuration.
// A proxy tries a new configuration in a VM of its own first, which cannot know whether the others have a valid one.
func (p *plugin) sayFaults(err error) {
	if !p.vm.messages.first(p.name, err.Error()) {
		return
	}
	faults, ok := err.(fault.Faults) //nolint:errorlint // nothing wraps them, and errors.As would link reflection
	if !ok {
		faults = fault.Faults{{Message: err.Error()}}
	}
	for _, each := range faults {
		p.vm.messages.log(abi.LevelError, "configuration: "+each.String())
	}
	p.vm.messages.log(abi.LevelError, "the configuration is refused: the last valid one stays, or nothing is recorded if there is none")
}

// NewTcpContext implements types.PluginContext.
func (p *plugin) NewTcpContext(uint32) types.TcpContext {
	if p.replacedAt != 0 && p.vm.Now()-p.replacedAt > takeoverTime {
		p.separate()
	}
	return &connection{plugin: p}
}

// takeoverTime is how long a worker may continue to give new connections to a plugin that was replaced, in nanoseconds.
const takeoverTime = 10_000_000_000

// separate takes back that p was replaced: it still gets connections, so the newer plugin belongs to another listener,
// and must not continue with p's configuration.
func (p *plugin) separate() {
	other := p.successor
	p.replacedAt, p.successor = 0, nil
	if other.borrowed {
		other.config, other.borrowed = inert(), false
		other.use()
		other.refresh()
	}
	p.vm.messages.say(abi.LevelWarn, p.name+aboutName,
		"an older configuration of the same name is still in use: if two listeners have it, give each plugin a name of its own")
}

// NewHttpContext implements types.PluginContext: there is none.
func (p *plugin) NewHttpContext(uint32) types.HttpContext { return nil }

// OnTick implements types.PluginContext.
func (p *plugin) OnTick() {
	now := p.vm.Now()
	p.refresh()
	p.vm.admission.Expire(p.vm.spentUntil, now)
	p.shared.Live.Renew(now)
	if p.sidecar != nil && p.replacedAt == 0 {
		p.sayStopped(now)
		p.sidecar.poll(p.vm, &p.config.Sidecar, now)
	}
	p.sink.flush()
	p.vm.handIn(now)
}

func (p *plugin) tickMilliseconds() uint32 {
	if p.sidecar == nil {
		return maxTickMilliseconds
	}
	return uint32(min(max(p.config.Sidecar.PollInterval/ticksPerPoll, minTickMilliseconds), maxTickMilliseconds))
}

// OnPluginDone implements types.PluginContext.
func (p *plugin) OnPluginDone() bool {
	delete(p.vm.plugins, p)
	if p.vm.newest[p.name] == p {
		delete(p.vm.newest, p.name)
	}
	for other := range p.vm.plugins {
		if other.successor == p { // a configuration was rolled back to one that still had connections
			other.replacedAt, other.successor = 0, nil
			p.vm.newest[p.name] = other
		}
	}
	p.sink.flush()
	p.vm.handIn(p.vm.Now())
	return true
}

// refresh looks at what does not come with the data.
func (p *plugin) refresh() {
	now := p.vm.Now()
	if c := p.sidecar; c != nil {
		c.load()
		p.inputs.Global = c.state.Global
		if p.reading != c.reading {
			p.reading, p.measured = c.reading, c.measured
			p.inputs.Usage = c.usage
			applies, _ := strategy.Merge(p.config.Strategy, c.state.Global, now)
			p.fuse.Read(c.usage, applies, p.config.Fuse)
		}
	}
	applies, off := strategy.Merge(p.config.Strategy, p.inputs.Global, now)
	p.off = off
	// Reads in between need not ask for the time, which is a hostcall away.
	next := now + int64(p.tickMilliseconds())*1_000_000 + tickDelay
	window, open := strategy.WindowAt(now, applies)
	coming, _ := strategy.Merge(p.config.Strategy, p.inputs.Global, next)
	later, _ := strategy.WindowAt(next, coming)
	p.closed = p.ticks && !open && applies == coming && window == later
}

// tickDelay is how late a tick may come for which the plugin has said what is so until then, in nanoseconds. Reads do not
// come before a tick that is late for longer, but for those of one turn of the worker's loop.
const tickDelay = 1_000_000_000

// sayStopped says once for the whole proxy that the sidecar has stopped recording, and that it continues.
func (p *plugin) sayStopped(now int64) {
	text := ""
	reason := p.decide(now, true).Continue
	switch reason {
	case p.stopped:
		return
	case strategy.Recorded:
		text = "recording continues"
	case strategy.ForcedOff:
		text = "recording stops: the global strategy forces it off; l4dump ctl clear ends that"
	case strategy.CPULimit:
		text = "recording stops: CPU usage is at its limit"
	case strategy.MemoryLimit:
		text = "recording stops: memory usage is at its limit"
	case strategy.SwitchedOff:
		if p.stopped != strategy.ForcedOff {
			return
		}
		text = "recording is no longer forced off, but its switch is off"
	default: // said elsewhere, or asked for
		return
	}
	p.stopped = reason
	p.vm.messages.say(abi.LevelWarn, p.name+aboutStop, text)
}

// fresh reports whether the sidecar has reported on the usage, lately. Allocation-free.
func (p *plugin) fresh(now int64) bool {
	age := now - p.measured
	return p.reading != 0 && age <= p.config.Sidecar.StaleAfter.Nanoseconds() && age >= -clockStep
}

// clockStep is how far ahead a reading may be, in nanoseconds; one that is further ahead is from before the clock was
// set back.
const clockStep = 1_000_000_000

// decide decides for now. begun says that the caller goes by Continue: without it, the sink, which is a hostcall away, is
// asked only while a window is open. Allocation-free.
func (p *plugin) decide(now int64, begun bool) strategy.Decision {
	in := &p.inputs
	in.Now, in.Fresh, in.Fuse, in.Sink = now, p.fresh(now), p.fuse.Reason(), strategy.Recorded
	d := strategy.Decide(in)
	if d.Begin == strategy.Recorded || begun && d.Continue == strategy.Recorded {
		if in.Sink = p.sink.ready(); in.Sink != strategy.Recorded {
			d = strategy.Decide(in)
		}
	}
	p.shedding, p.current = d.Shedding, d.Window
	return d
}

// idOf returns the identifier of a window. Allocation-free.
func (p *plugin) idOf(w strategy.Window) record.UUID {
	if w != p.window {
		p.window, p.windowID = w, w.UUID()
	}
	return p.windowID
}

// property returns a property that the proxy has as text, "" if it has none.
func property(path ...string) string { return string(abi.Property(path...)) }

// describe sums a configuration up for the line that proves the plugin is there.
func describe(c *strategy.Config) string {
	s := &c.Strategy
	return "switch " + string(s.Switch) + ", " + strconv.FormatInt(s.Duration, 10) + " s of every " +
		strconv.FormatInt(s.Interval, 10) + " s, unit " + string(c.Capture.Unit) + ", guard " + string(c.Guard)
}
