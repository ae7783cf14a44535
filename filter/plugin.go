package filter

import (
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"l4dump/internal/abi"
	"l4dump/record"
	"l4dump/strategy"
)

// A plugin looks at what does not come with the data, the log level, the sidecar and the metrics to hand in, on each
// tick: every second, or more often where the sidecar is asked, so that all workers follow it soon.
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
	level  abi.Level

	replacedAt int64   // when a newer one of the name came, 0 while it is in use; it serves the connections it has
	successor  *plugin // that newer one
	borrowed   bool    // the configuration is the predecessor's, since this one's is not valid

	payload int // bytes of payload that fit into a line
	block   int // bytes to ask the proxy for at a time

	// What the sidecar and the log level allow; refresh sets it.
	effective strategy.Strategy // the merged one
	reason    strategy.Reason   // why the strategy's switch keeps it off, or Recorded
	hidden    bool              // the proxy would not write the lines
	sidecar   *sidecar          // nil where the guard is off
	fuse      strategy.Fuse
	reading   uint64          // the sidecar's reading that the fuse has seen last, from 1
	measured  int64           // when its usage was measured
	stopped   strategy.Reason // why recording was said to have stopped, or Recorded

	window   strategy.Window // the one that windowID is of
	windowID record.UUID
}

// The parts of a log line that the proxy adds take linePrefixBytes, besides the names in it.
const linePrefixBytes = 224

// blockBytes is about how much of a read the plugin asks the proxy for at a time: less than a read can be (1 MiB), so
// that a VM's memory stays small and the bytes stay in the processor's cache.
const blockBytes = 64 << 10

// OnPluginStart implements types.PluginContext. A configuration that is not valid does not stop the proxy: every fault
// is logged, and the plugin's last good configuration in this VM stays, or none, which records nothing.
func (p *plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	v := p.vm
	p.title = property("plugin_name")
	p.name = p.title + "\x00" + property("plugin_root_id")
	last := v.newest[p.name]
	v.newest[p.name] = p
	v.plugins[p] = true
	if last != nil {
		last.replacedAt, last.successor = v.Now(), p
	}

	config, digest, err := p.read(size)
	p.valid = err == nil
	switch {
	case p.valid:
		p.config = config
		v.say(abi.LevelInfo, p.name, "configured: "+describe(&config)+", digest "+digest)
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
		v.Log(abi.LevelError, []byte("l4dump: set the tick period: "+err.Error()))
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

// read parses the configuration, and refuses line lengths that the proxy's own prefix does not leave room in. digest
// tells configurations apart.
func (p *plugin) read(size int) (_ strategy.Config, digest string, _ error) {
	text, err := abi.PluginConfiguration(size)
	if err != nil {
		return strategy.Config{}, "", strategy.Faults{{Message: "read the configuration: " + err.Error()}}
	}
	digest = record.Digest(text)
	config, err := strategy.Parse(text)
	if err != nil {
		return strategy.Config{}, "", err
	}
	if least := p.proxyBytes() + record.MaxOpenBytes; config.Output.MaxLineBytes < least {
		return strategy.Config{}, "", strategy.Faults{{
			Path: "output.max_line_bytes",
			Message: "want at least " + strconv.Itoa(least) + " with the names that the proxy puts before each line, got " +
				strconv.Itoa(config.Output.MaxLineBytes),
		}}
	}
	return config, digest, nil
}

// proxyBytes is how much of a log line the proxy takes.
func (p *plugin) proxyBytes() int {
	return linePrefixBytes + len(p.title) + len(property("plugin_root_id")) + len(property("plugin_vm_id"))
}

// use sets what follows from p.config.
func (p *plugin) use() {
	room := p.config.Output.MaxLineBytes - p.proxyBytes()
	p.level = levelOf(p.config.Output.Level)
	p.payload = (room - record.MaxDataOverhead) / 2
	if p.config.Output.Format == strategy.FormatLayotto {
		p.payload = (room - record.LayottoOverhead) / 3
	}
	p.payload = max(p.payload-p.payload%record.HexTurn, record.HexTurn)
	p.block = max(blockBytes-blockBytes%p.payload, p.payload)
	p.vm.grow(room)
	p.sidecar = nil
	if p.config.Guard == strategy.GuardSidecar {
		p.sidecar = p.vm.sidecar(p.config.Sidecar.Cluster)
	}
}

// sayFaults logs every fault, once for the whole proxy, and once more where they come back after a valid configuration.
// A proxy tries a new configuration in a VM of its own first, which cannot know whether the others have a valid one.
func (p *plugin) sayFaults(err error) {
	if !p.vm.first(p.name, err.Error()) {
		return
	}
	faults, ok := err.(strategy.Faults) //nolint:errorlint // nothing wraps them, and errors.As would link reflection
	if !ok {
		faults = strategy.Faults{{Message: err.Error()}}
	}
	for _, fault := range faults {
		p.vm.Log(abi.LevelError, []byte("l4dump: configuration: "+record.Printable(fault.String())))
	}
	p.vm.Log(abi.LevelError, []byte("l4dump: the configuration is refused: the last valid one stays, or nothing is recorded if there is none"))
}

// NewTcpContext implements types.PluginContext.
func (p *plugin) NewTcpContext(uint32) types.TcpContext {
	if p.replacedAt != 0 && p.vm.Now()-p.replacedAt > takeoverTime {
		p.separate()
	}
	return &connection{plugin: p}
}

// takeoverTime is how long a worker may go on giving new connections to a plugin that was replaced, in nanoseconds.
const takeoverTime = 10_000_000_000

// separate takes back that p was replaced: it still gets connections, so the newer plugin belongs to another listener,
// and must not go on with p's configuration.
func (p *plugin) separate() {
	other := p.successor
	p.replacedAt, p.successor = 0, nil
	if other.borrowed {
		other.config, other.borrowed = inert(), false
		other.use()
		other.refresh()
	}
	p.vm.say(abi.LevelWarn, p.name+"\x00name",
		"an older configuration of the same name is still in use: if two listeners have it, give each plugin a name of its own")
}

// NewHttpContext implements types.PluginContext: there is none.
func (p *plugin) NewHttpContext(uint32) types.HttpContext { return nil }

// OnTick implements types.PluginContext.
func (p *plugin) OnTick() {
	now := p.vm.Now()
	p.refresh()
	if p.sidecar != nil && p.replacedAt == 0 {
		p.sayStopped(now)
		p.sidecar.poll(p.vm, &p.config.Sidecar, now)
	}
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
	p.vm.handIn(p.vm.Now())
	return true
}

// refresh looks at what does not come with the data.
func (p *plugin) refresh() {
	p.hidden = p.vm.LogLevel() > p.level
	if p.sidecar == nil {
		p.effective, p.reason = strategy.Merge(p.config.Strategy, nil)
		return
	}
	c := p.sidecar
	c.load()
	p.effective, p.reason = strategy.Merge(p.config.Strategy, c.state.Global)
	if p.reading != c.reading {
		p.reading, p.measured = c.reading, c.measured
		p.fuse.Read(c.usage, p.effective, p.config.Fuse)
	}
}

// sayStopped says once for the whole proxy that the sidecar has stopped recording, and that it goes on.
func (p *plugin) sayStopped(now int64) {
	text := ""
	reason := p.allowed(now)
	switch reason {
	case p.stopped:
		return
	case strategy.Recorded:
		text = "recording goes on"
	case strategy.ForcedOff:
		text = "recording stops: the global strategy forces it off"
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
	p.vm.say(abi.LevelWarn, p.name+"\x00stopped", text)
}

// unwatched reports whether a sidecar should report on the usage and none has, lately. Allocation-free.
func (p *plugin) unwatched(now int64) bool {
	if p.sidecar == nil {
		return false
	}
	age := now - p.measured
	return p.reading == 0 || age > p.config.Sidecar.StaleAfter.Nanoseconds() || age < -clockStep
}

// clockStep is how far ahead a reading may be, in nanoseconds; one that is further ahead is from before the clock was
// set back.
const clockStep = 1_000_000_000

// allowed returns why nothing is recorded at now whether or not a window is open, or Recorded. Allocation-free.
func (p *plugin) allowed(now int64) strategy.Reason {
	switch {
	case p.reason != strategy.Recorded:
		return p.reason
	case p.unwatched(now):
		return strategy.UsageUnknown
	case p.fuse.Reason() != strategy.Recorded:
		return p.fuse.Reason()
	case p.hidden:
		return strategy.LogLevel
	}
	return strategy.Recorded
}

// decide returns why nothing is recorded at now, or Recorded; p.windowID is then the window's. Allocation-free.
func (p *plugin) decide(now int64) strategy.Reason {
	reason := p.allowed(now)
	if reason == strategy.SwitchedOff || reason == strategy.ForcedOff {
		return reason
	}
	window, open := strategy.WindowAt(now, p.effective)
	if !open {
		return strategy.WindowClosed
	}
	if window != p.window {
		p.window, p.windowID = window, window.UUID()
	}
	return reason
}

// property returns a property that the proxy has as text, "" where it has none.
func property(path ...string) string { return string(abi.Property(path...)) }

func levelOf(l strategy.Level) abi.Level {
	switch l {
	case strategy.LevelTrace:
		return abi.LevelTrace
	case strategy.LevelDebug:
		return abi.LevelDebug
	case strategy.LevelWarn, strategy.LevelWarning:
		return abi.LevelWarn
	case strategy.LevelError:
		return abi.LevelError
	case strategy.LevelCritical:
		return abi.LevelCritical
	}
	return abi.LevelInfo
}

// describe sums a configuration up for the line that proves the plugin is there.
func describe(c *strategy.Config) string {
	s := &c.Strategy
	return "switch " + string(s.Switch) + ", " + strconv.FormatInt(s.Duration, 10) + " s of every " +
		strconv.FormatInt(s.Interval, 10) + " s, unit " + string(c.Capture.Unit) + ", guard " + string(c.Guard)
}
