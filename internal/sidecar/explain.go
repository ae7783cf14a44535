package sidecar

import (
	"fmt"

	"l4dump/strategy"
)

// explain says why nothing is recorded, or that something is.
func explain(v view) string {
	why := explainGoverned(&v)
	for _, name := range v.ungoverned() {
		who := "a plugin without a name"
		if name != "" {
			who = fmt.Sprintf("plugin %q", name)
		}
		why += "; " + who + " records anyway, since this sidecar does not govern it"
	}
	return why
}

func explainGoverned(v *view) string {
	switch v.reason {
	case strategy.Recorded:
		if v.shedding.Level != strategy.ShedNothing {
			return "a window is open, but the plugin takes " + shedText(v)
		}
		return "a window is open and nothing is in the way"
	case strategy.SwitchedOff:
		if v.governed == 0 {
			return "no plugin that this sidecar governs has polled lately, and the global strategy is not ON"
		}
		return "neither the application's strategy nor the global one is ON"
	case strategy.ForcedOff:
		return "the global strategy is FORCE_OFF"
	case strategy.WindowClosed:
		return "no window is open; the next one starts at " + v.message().Next.Format("15:04:05Z07:00")
	case strategy.UsageUnknown:
		if !v.usage.ok {
			return "CPU and memory have not been measured yet"
		}
		return "the last reading of CPU and memory is too old"
	case strategy.CPULimit:
		return limitText("CPU", v.usage.cpu.Percent, v.strategy.CPUMaxRate)
	case strategy.MemoryLimit:
		return limitText("memory", v.usage.memory.Percent, v.strategy.MemMaxRate)
	case strategy.LogLevel:
		return "the proxy's log level hides the plugin's lines"
	}
	return v.reason.String()
}

// shedText says what the plugin takes near a limit, and near which.
func shedText(v *view) string {
	s := &v.shedding
	what, percent, limit := "CPU", v.usage.cpu.Percent, v.strategy.CPUMaxRate
	if s.Reason == strategy.MemoryLimit {
		what, percent, limit = "memory", v.usage.memory.Percent, v.strategy.MemMaxRate
	}
	taken := "no new connections"
	switch s.Level {
	case strategy.ShedSome:
		taken = fmt.Sprintf("only %.0f %% of the new connections", 100*s.Rate)
	case strategy.ShedPayload:
		taken += fmt.Sprintf(", and only the first %d bytes of each read", strategy.ShedBytes)
	}
	return fmt.Sprintf("%s: %s at %.1f %% is near its limit of %g %%", taken, what, percent, limit)
}

func limitText(what string, percent, limit float64) string {
	if percent < limit {
		return fmt.Sprintf("%s was at its limit; it is at %.1f %%, and the plugin has not closed its fuse yet (limit %g %%)",
			what, percent, limit)
	}
	return fmt.Sprintf("%s is at %.1f %%, over the limit of %g %%", what, percent, limit)
}
