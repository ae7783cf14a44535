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

// Strategy is when traffic is recorded. Its first five keys, bounds and defaults are Layotto's.
type Strategy struct {
	Switch     Switch
	Interval   int64   // seconds from one window's start to the next one's
	Duration   int64   // seconds that a window is open, less than Interval
	CPUMaxRate float64 // percent of CPU at which recording stops
	MemMaxRate float64 // percent of memory at which recording stops
	Spread     bool    // windows do not begin with their intervals but at another place in each, so that they do not always meet the same cron job
	Until      Moment  // from then on the switch is as good as off; 0 is no end
}

// at returns the strategy as it is at now, in nanoseconds since the Unix epoch.
func (s Strategy) at(now int64) Strategy {
	if s.ended(now) {
		s.Switch = SwitchOff
	}
	return s
}

func (s *Strategy) ended(now int64) bool { return s.Until != 0 && now >= int64(s.Until) }

// DefaultStrategy is the strategy of an empty object.
func DefaultStrategy() Strategy {
	return Strategy{Switch: SwitchOff, Interval: 30, Duration: 1, CPUMaxRate: 80, MemMaxRate: 70}
}

// Merge returns the strategy that applies, and why it is off if it is (Recorded if it is on). A global FORCE_OFF
// wins; else an application's ON, with the application's values; else a global ON, with the global values; else it is
// off. One that has ended counts as OFF. global is nil if there is none; now is in nanoseconds since the Unix epoch.
func Merge(application Strategy, global *Strategy, now int64) (Strategy, Reason) {
	ended := application.ended(now) && application.Switch == SwitchOn
	application = application.at(now)
	if global != nil {
		ended = ended || global.ended(now) && global.Switch == SwitchOn
		g := global.at(now)
		global = &g
	}
	switch {
	case global != nil && global.Switch == SwitchForceOff:
		return *global, ForcedOff
	case application.Switch == SwitchOn:
		return application, Recorded
	case global != nil && global.Switch == SwitchOn:
		return *global, Recorded
	case ended:
		return application, Ended
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
	if s.Spread {
		dst = append(dst, `,"placement":"spread"`...)
	}
	if s.Until != 0 {
		dst = append(dst, `,"until":"`...)
		dst = append(dst, s.Until.String()...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}
