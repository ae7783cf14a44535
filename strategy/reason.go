package strategy

// Reason is why bytes are not recorded, or Recorded.
type Reason uint8

// The reasons. Their names stand in close records and in the names of metrics. They stand in their order: if several
// apply, the first is the reason that is given.
const (
	Recorded Reason = iota

	// The lasting ones, which keep a whole plugin from recording.
	ForcedOff    // the global strategy forces it off
	SwitchedOff  // the strategy's switch is off
	Ended        // the strategy's time is over
	WindowClosed // no sampling window is open
	UsageUnknown // the sidecar has not reported, or too long ago
	CPULimit     // CPU usage is at its limit
	MemoryLimit  // memory usage is at its limit
	LogLevel     // the proxy's log level hides the lines

	// Those that keep one connection from being recorded when it begins.
	NotSelected // match and except leave it out
	SampledOut  // the connection rate does

	// Those of single bytes.
	OtherDirection    // the direction is not captured
	ConnectionLimit   // the connection has had its bytes
	OverBudget        // the connection was given up: with it the process had more than its bytes and lines
	BudgetBytes       // the process has had its bytes of this second, or they do not suffice to admit the connection
	BudgetLines       // the same of its lines
	Connections       // the connection was not admitted: as many connections are recorded as may be at a time
	WindowConnections // the same: the window has had its connections
	WindowBytes       // the window has had its bytes, or what is left is for connections that have begun
	ConnectionTime    // the connection has had its time
	Unreadable        // the proxy did not give the bytes
	QueueFull         // the sink's queue has no room
	SinkLost          // the sink took the bytes and lost them

	Reasons // the number of reasons
)

var reasonNames = [Reasons]string{
	Recorded: "recorded", ForcedOff: "forced_off", SwitchedOff: "switch_off", Ended: "ended", WindowClosed: "window_closed",
	UsageUnknown: "usage_unknown", CPULimit: "cpu", MemoryLimit: "memory", LogLevel: "log_level",
	NotSelected: "not_selected", SampledOut: "sampled_out",
	OtherDirection: "direction", ConnectionLimit: "connection_limit", OverBudget: "budget",
	BudgetBytes: "budget_bytes", BudgetLines: "budget_lines",
	Connections: "max_connections", WindowConnections: "max_connections_per_window",
	WindowBytes: "window_bytes", ConnectionTime: "connection_time",
	Unreadable: "unreadable",
	QueueFull:  "queue", SinkLost: "sink",
}

// String returns the reason's name, a word of lower-case letters and '_'.
func (r Reason) String() string { return reasonNames[r] }

// Key returns the configuration's key of the limit that r is about, or keys with ", " between: with a higher one less is
// dropped. It is empty if r is no limit.
func (r Reason) Key() string {
	switch r {
	case CPULimit:
		return "strategy.cpu_max_rate"
	case MemoryLimit:
		return "strategy.mem_max_rate"
	case ConnectionLimit:
		return "capture.max_bytes_per_connection"
	case BudgetBytes:
		return "capture.max_bytes_per_second"
	case BudgetLines:
		return "capture.max_lines_per_second"
	case OverBudget:
		return BudgetBytes.Key() + ", " + BudgetLines.Key()
	case Connections:
		return "capture.max_connections"
	case WindowConnections:
		return "capture.max_connections_per_window"
	case WindowBytes:
		return "capture.max_bytes_per_window"
	case ConnectionTime:
		return "capture.max_connection_time"
	}
	return ""
}

// ReasonOf returns the reason with a name. ok is false if there is none.
func ReasonOf(name string) (_ Reason, ok bool) {
	for r, each := range reasonNames {
		if each == name {
			return Reason(r), true
		}
	}
	return Recorded, false
}

// Lasting reports whether r keeps a whole plugin from recording, rather than single bytes.
func (r Reason) Lasting() bool { return r >= ForcedOff && r <= LogLevel }

// Distance is how far recording is off, from 0 for Recorded: the reason of the least distance stands for several
// plugins.
func (r Reason) Distance() int { return int(Reasons-r) % int(Reasons) }
