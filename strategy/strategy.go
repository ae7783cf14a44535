package strategy

import "strconv"

// Switch turns recording on or off.
type Switch string

// The switches.
const (
	SwitchOn       Switch = "ON"
	SwitchOff      Switch = "OFF"
	SwitchForceOff Switch = "FORCE_OFF" // of a global strategy: off, whatever the application says
)

// Strategy is when traffic is recorded. Its five keys, bounds and defaults are Layotto's.
type Strategy struct {
	Switch     Switch
	Interval   int64   // seconds from one window's start to the next one's
	Duration   int64   // seconds that a window is open, less than Interval
	CPUMaxRate float64 // percent of CPU at which recording stops
	MemMaxRate float64 // percent of memory at which recording stops
}

// DefaultStrategy is the strategy of an empty object.
func DefaultStrategy() Strategy {
	return Strategy{Switch: SwitchOff, Interval: 30, Duration: 1, CPUMaxRate: 80, MemMaxRate: 70}
}

// Merge returns the strategy that applies, and why it is off if it is (Recorded if it is on). A global FORCE_OFF
// wins; else an application's ON, with the application's values; else a global ON, with the global values; else it is
// off. global is nil if there is none.
func Merge(application Strategy, global *Strategy) (Strategy, Reason) {
	switch {
	case global != nil && global.Switch == SwitchForceOff:
		return *global, ForcedOff
	case application.Switch == SwitchOn:
		return application, Recorded
	case global != nil && global.Switch == SwitchOn:
		return *global, Recorded
	}
	return application, SwitchedOff
}

// AppendJSON appends the strategy as the JSON object that ParseStrategy reads, and returns the extended slice.
func (s Strategy) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"switch":"`...)
	dst = append(dst, s.Switch...)
	dst = append(dst, `","interval":`...)
	dst = strconv.AppendInt(dst, s.Interval, 10)
	dst = append(dst, `,"duration":`...)
	dst = strconv.AppendInt(dst, s.Duration, 10)
	dst = append(dst, `,"cpu_max_rate":`...)
	dst = strconv.AppendFloat(dst, s.CPUMaxRate, 'f', -1, 64)
	dst = append(dst, `,"mem_max_rate":`...)
	dst = strconv.AppendFloat(dst, s.MemMaxRate, 'f', -1, 64)
	return append(dst, '}')
}
