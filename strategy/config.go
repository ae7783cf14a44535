// Package strategy decides what is recorded: the plugin's configuration, the merge of the application's strategy with
// the global one, sampling windows, the fuse on CPU and memory, and the budget. It is pure: time, usage and shared
// state come in as values. The plugin links it, so it uses few and small standard packages.
package strategy

import "l4dump/internal/mask"

// Config is the plugin's configuration: the JSON object that Parse reads.
type Config struct {
	Strategy Strategy // the application's strategy
	Guard    Guard
	Sidecar  Sidecar // used if Guard is GuardSidecar
	Fuse     FuseConfig
	Capture  Capture
	Output   Output
}

// Guard is who watches CPU and memory.
type Guard string

// The guards.
const (
	GuardSidecar Guard = "sidecar" // the sidecar: nothing is recorded until it reports
	GuardOff     Guard = "off"     // nobody: the limits are not applied
)

// Sidecar is how the sidecar is polled.
type Sidecar struct {
	Cluster      string // Envoy's cluster that leads to it
	PollInterval Milliseconds
	Timeout      Milliseconds // of one poll
	StaleAfter   Milliseconds // age over which a reading is not believed
}

// FuseConfig is when a fuse that has opened closes again: as soon as usage is Margin percentage points under its limit,
// or after Readings readings in a row under the limit. From Soft points under the limit on, less and less is recorded,
// so that the fuse need not open; 0 is that all is.
type FuseConfig struct {
	Margin   float64
	Readings int
	Soft     float64
}

// Unit is what a window selects.
type Unit string

// The units.
const (
	UnitBytes       Unit = "bytes"       // the bytes that pass while a window is open
	UnitConnections Unit = "connections" // the connections born while a window is open, from byte 0 to their close
)

// NextFilter is the filter after the plugin, as whoever configures it says. It tells readers whether bytes may stand in a
// recording twice (docs/FORMAT.md). Empty is that nobody said.
type NextFilter string

// The next filters.
const (
	NextTCPProxy              NextFilter = "tcp_proxy"
	NextHTTPConnectionManager NextFilter = "http_connection_manager"
	NextOther                 NextFilter = "other"
)

// Capture is what is recorded of the traffic, and how much of it. A limit of 0 is none.
type Capture struct {
	Unit                    Unit
	Downstream              bool  // record what clients send
	Upstream                bool  // record what services answer
	MaxBytesPerSecond       int64 // of payload, for the whole proxy process
	MaxLinesPerSecond       int64 // of records, for the whole proxy process
	MaxBytesPerConnection   int64 // of payload, both directions together
	MaxConnections          int64 // recorded at a time, of UnitConnections, for the whole proxy process
	MaxConnectionsPerWindow int64 // admitted from the start of one window to that of the next, of UnitConnections, for the whole proxy process
	MaxBytesPerWindow       int64 // of payload, from the start of one window to that of the next, for the whole proxy process
	MaxConnectionTime       Milliseconds
	ConnectionRate          float64 // the share of the selected connections that are recorded, over 0 up to 1
	NextFilter              NextFilter
	Selection               Selection
	Mask                    mask.Config
}

// Format is the dialect of the lines.
type Format string

// The formats.
const (
	FormatL4dump  Format = "l4dump"  // package record's
	FormatLayotto Format = "layotto" // "[window][port]" and "% x"
)

// Level is the level at which lines are logged.
type Level string

// The levels.
const (
	LevelTrace    Level = "trace"
	LevelDebug    Level = "debug"
	LevelInfo     Level = "info"
	LevelWarn     Level = "warn"
	LevelWarning  Level = "warning" // the same, as Envoy calls it
	LevelError    Level = "error"
	LevelCritical Level = "critical"
)

// Output is how records are written.
type Output struct {
	Format       Format
	Level        Level
	MaxLineBytes int // of a whole log line, the proxy's own prefix and suffix included
	WriteBytes   int // of a write of several lines, likewise; MaxLineBytes or more
}

// The bounds of the numbers in a Config; each is itself allowed unless it says otherwise.
const (
	MinInterval = 30 // seconds
	MaxInterval = 3600
	MaxRate     = 100 // percent, exclusive; so is the lower bound, 0

	MinBytesPerSecond = 1 << 10 // or 0
	MaxBytesPerSecond = 1 << 35
	MinLinesPerSecond = 10 // or 0
	MaxLinesPerSecond = 1_000_000
	MaxConnBytes      = 1 << 50
	MaxConnections    = 1_000_000 // at a time, or of a window
	MinWindowBytes    = 1 << 10   // or 0
	MaxWindowBytes    = 1 << 39

	MinConnectionTime = 1000 // milliseconds, or 0
	MaxConnectionTime = 86_400_000

	MinLineBytes = 2048
	MaxLineBytes = 65536

	MaxWriteBytes = 1 << 20 // from Output.MaxLineBytes

	MinPollInterval = 200 // milliseconds
	MaxPollInterval = 60_000
	MinTimeout      = 10
	MaxTimeout      = 10_000
	MinStaleAfter   = 400
	MaxStaleAfter   = 600_000
	MaxNameBytes    = 256

	MaxFuseMargin   = 50
	MaxFuseReadings = 100
	MaxFuseSoft     = 50
)

// pollsUntilStale is how many polls the default of Sidecar.StaleAfter waits for, if that is more than 5 s.
const pollsUntilStale = 5

// DefaultConfig is the configuration of an empty object: Layotto's defaults, and off.
func DefaultConfig() Config {
	return Config{
		Strategy: DefaultStrategy(),
		Guard:    GuardSidecar,
		Sidecar: Sidecar{
			Cluster: "l4dump-sidecar", PollInterval: 1000, Timeout: 500, StaleAfter: 5000,
		},
		Fuse: FuseConfig{Margin: 5, Readings: 2, Soft: 10},
		Capture: Capture{
			Unit: UnitBytes, Downstream: true, ConnectionRate: 1,
			MaxBytesPerSecond: 1 << 20, MaxLinesPerSecond: 20_000, MaxConnections: 1000,
		},
		Output: Output{Format: FormatL4dump, Level: LevelInfo, MaxLineBytes: 4096, WriteBytes: 4096},
	}
}
