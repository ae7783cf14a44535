package strategy

// Reason is why bytes are not recorded, or Recorded.
type Reason uint8

// The reasons. Their names stand in close records and in the names of metrics.
const (
	Recorded        Reason = iota
	SwitchedOff            // the strategy's switch is off
	ForcedOff              // the global strategy forces it off
	WindowClosed           // no sampling window is open
	UsageUnknown           // the sidecar has not reported, or too long ago
	CPULimit               // CPU usage is at its limit
	MemoryLimit            // memory usage is at its limit
	OtherDirection         // the direction is not captured
	ConnectionLimit        // the connection has had its bytes
	Budget                 // the process has had its bytes or lines of this second
	LogLevel               // the proxy's log level hides the lines
	Unreadable             // the proxy did not hand the bytes over
	Reasons                // the number of reasons
)

var reasonNames = [Reasons]string{
	"recorded", "switch_off", "forced_off", "window_closed", "usage_unknown", "cpu", "memory",
	"direction", "connection_limit", "budget", "log_level", "unreadable",
}

// String returns the reason's name, a word of lower-case letters and '_'.
func (r Reason) String() string { return reasonNames[r] }

// Lasting reports whether r keeps a whole plugin from recording, rather than single bytes.
func (r Reason) Lasting() bool { return r >= SwitchedOff && r <= MemoryLimit || r == LogLevel }
