package inspect

import (
	"l4dump/internal/capture"
	"l4dump/strategy"
)

// stateNames are the states' names in a Report.
var stateNames = [...]string{
	capture.Whole: capture.Whole.String(), capture.Unfinished: capture.Unfinished.String(),
	capture.Prefix: capture.Prefix.String(), capture.Broken: capture.Broken.String(),
}

// faultNames are the names of faults in a Report. Those of connections are also causes.
var faultNames = [...]string{
	capture.FaultLost: "lost", capture.FaultNoOpen: "no_open", capture.FaultNoClose: "no_close", capture.FaultGap: "gap",
	capture.FaultLostGap: "lost_gap", capture.FaultDropped: "dropped", capture.FaultLostBytes: "lost_bytes",
	capture.FaultLedger: "ledger", capture.FaultDuplicate: "duplicate", capture.FaultUnchecked: "unchecked",
	capture.FaultConflict: "conflict", capture.FaultLate: "late", capture.FaultAfterClose: "after_close",
	capture.FaultForgotten: "forgotten", capture.FaultRange: "range", capture.FaultSkipped: "skipped",
	capture.FaultCut: "cut", capture.FaultFiltered: "filtered",
}

// inputFault is the name of faults of an input.
const inputFault = "input"

// cause is why a connection is not whole.
type cause struct{ name, reason string }

// causeOf returns the cause in a verdict, with the reason for which the most bytes of the direction were dropped.
func causeOf(v *capture.Verdict) cause {
	if v.Cause == nil {
		return cause{}
	}
	c := cause{name: faultNames[v.Cause.Kind]}
	switch v.Cause.Kind {
	case capture.FaultDropped, capture.FaultGap:
		drops := v.Cause.Drops
		if v.Close != nil && v.Close.HasLedger && len(drops) == 0 {
			drops = v.Close.Ledger[v.Cause.Direction].Dropped
		}
		most := uint64(0)
		for _, drop := range drops {
			if drop.Bytes > most {
				most, c.reason = drop.Bytes, drop.Reason
			}
		}
		if c.reason != "" {
			c.name = faultNames[capture.FaultDropped]
		}
	}
	return c
}

// keyOf returns the configuration's key of the limit that made the recorder drop bytes.
func keyOf(reason string) string {
	r, ok := strategy.ReasonOf(reason)
	if !ok {
		return ""
	}
	return r.Key()
}
