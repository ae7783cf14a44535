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

func limitText(what string, percent, limit float64) string {
	if percent < limit {
		return fmt.Sprintf("%s was at its limit; it is at %.1f %%, and the plugin has not closed its fuse yet (limit %g %%)",
			what, percent, limit)
	}
	return fmt.Sprintf("%s is at %.1f %%, over the limit of %g %%", what, percent, limit)
}
