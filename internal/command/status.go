package command

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"l4dump/internal/poll"
	"l4dump/internal/sidecar"
	"l4dump/strategy"
)

// The colors of the answer.
const (
	colorGood = "\x1b[32m"
	colorBad  = "\x1b[33m"
	colorEnd  = "\x1b[0m"
)

// writeGlobal writes a global strategy for a person.
func writeGlobal(w io.Writer, g sidecar.Global) error {
	_, err := fmt.Fprintln(w, globalText(g))
	return err
}

func globalText(g sidecar.Global) string {
	text := "none"
	if g.Strategy != nil {
		text = strategyLine(*g.Strategy)
	}
	if g.Revision > 0 {
		text += fmt.Sprintf(" (by %s at %s, revision %d)", plain(g.By), g.At.Format(time.RFC3339), g.Revision)
	}
	return text
}

func strategyLine(s sidecar.Strategy) string {
	if s.Switch == strategy.SwitchForceOff {
		return string(s.Switch)
	}
	text := fmt.Sprintf("%s, %d s of every %d s, under %g %% CPU and %g %% memory",
		s.Switch, s.Duration, s.Interval, s.CPUMaxRate, s.MemMaxRate)
	if s.Spread {
		text += ", spread"
	}
	if s.Until != 0 {
		text += ", until " + s.Until.String()
	}
	return text
}

// writeStatus writes a status for a person: whether traffic is recorded, and why not, first.
func writeStatus(w io.Writer, s sidecar.Status, color bool) error {
	answer, good := answerText(s)
	why := plain(s.Why)
	switch {
	case invalid(s.Envoy):
		why = "a plugin's configuration is not valid; the proxy's log names the faults"
	case len(s.Plugins) == 0:
		why = `no plugin has polled lately; one with "resource_guard": "off" never does, and records as it is told`
	}
	if color {
		start := colorBad
		if good {
			start = colorGood
		}
		answer = start + answer + colorEnd
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("recording", "%s: %s", answer, why)
	for _, warning := range s.Warnings {
		row("warning", "%s", plain(warning))
	}
	// Without a plugin that is governed, or forced off, these are defaults, which nothing follows.
	limits := slices.ContainsFunc(s.Plugins, governed) && s.Strategy.Switch != strategy.SwitchForceOff
	if limits {
		row("window", "%s", windowText(s.Window))
	}
	if s.Usage == nil {
		row("usage", "not measured")
	} else {
		row("cpu", "%s", figureText(s.Usage.CPU, s.Strategy.CPUMaxRate, limits))
		row("memory", "%s", figureText(s.Usage.Memory, s.Strategy.MemMaxRate, limits))
	}
	if limits {
		row("strategy", "%s", strategyLine(s.Strategy))
	}
	row("global", "%s", globalText(s.Global))
	if f := s.StrategyFile; f != nil {
		row("file", "%s", fileText(*f))
	}
	if len(s.Plugins) == 0 {
		row("plugins", "none has polled lately")
	}
	for _, p := range s.Plugins {
		row("plugin", "%s", pluginText(p))
	}
	if total := s.Totals; total != nil {
		row("recorded", "%d of %d connections, %d of %d bytes since the proxy started",
			total.ConnectionsKept, total.ConnectionsSeen, total.BytesKept, total.BytesSeen)
		if reason, key := worstLimit(total); key != "" {
			row("limited", "most by %s, which dropped %d bytes: raise %s", reason, total.BytesDropped[reason], key)
		}
	}
	if s.Envoy != nil {
		row("envoy", "%s", envoyText(*s.Envoy))
	}
	row("dumps", "%s", dumpsText(s.Files))
	return t.Flush()
}

// worstLimit returns the limit that dropped most, and the keys of the configuration that raise it; none if no limit did.
func worstLimit(t *sidecar.Totals) (worst strategy.Reason, keys string) {
	for r := range strategy.Reasons {
		if r.Key() != "" && t.BytesDropped[r] > t.BytesDropped[worst] {
			worst = r
		}
	}
	return worst, limitKeys(worst)
}

// governed reports whether the sidecar that was asked governs a plugin.
func governed(p sidecar.PluginStatus) bool { return governorText(p) == "" }

// answerText says whether traffic is recorded, and whether that is good news.
func answerText(s sidecar.Status) (answer string, good bool) {
	obeying, obeyingRecord := false, false
	for _, p := range s.Plugins {
		if governed(p) {
			obeying = true
			obeyingRecord = obeyingRecord || p.Recording
		}
	}
	switch {
	case invalid(s.Envoy):
		return "no", false
	case len(s.Plugins) == 0:
		return "unknown", false
	case !s.Recording:
		return "no", false
	case obeyingRecord:
		return "yes", true
	case obeying:
		return "in part", false
	}
	return "yes, but by no plugin that this sidecar governs", false
}

func windowText(w sidecar.Window) string {
	const clock = "15:04:05Z07:00"
	state := "closed"
	if w.Open {
		state = "open"
	}
	return fmt.Sprintf("%s, %s to %s, %s; next at %s",
		plain(w.ID), w.Start.Format(clock), w.End.Format(clock), state, w.Next.Format(clock))
}

// figureText shows a figure, and its limit if there is one.
func figureText(f sidecar.UsageFigure, limit float64, limited bool) string {
	age := time.Duration(f.AgeMillis) * time.Millisecond
	of := ""
	if limited {
		of = fmt.Sprintf(" of %g %%", limit)
	}
	return fmt.Sprintf("%.1f %%%s, from %s, %v old", f.Percent, of, plain(f.Source), age)
}

// configurationValid is the plugin's gauge that is worth showing when it is 0.
const configurationValid = "l4dump_configuration_valid"

// invalid reports whether the proxy says that a plugin's configuration is not valid.
func invalid(e *sidecar.EnvoyStatus) bool {
	if e == nil {
		return false
	}
	for name, n := range e.Counters {
		if strings.HasSuffix(name, configurationValid) {
			return n == 0
		}
	}
	return false
}

func fileText(f sidecar.StrategyFileStatus) string {
	switch {
	case !f.Present:
		return plain(f.Path) + ": not there"
	case f.Valid:
		return plain(f.Path) + ": valid"
	}
	faults := make([]string, len(f.Faults))
	for i, each := range f.Faults {
		faults[i] = each.String()
	}
	return plain(f.Path + ": refused: " + strings.Join(faults, "; "))
}

func pluginText(p sidecar.PluginStatus) string {
	age := time.Duration(p.AgeMillis) * time.Millisecond
	text := fmt.Sprintf("%s: %s; its own strategy: %s; it says %s, %v ago",
		pluginName(p), plain(p.Reason), strategyLine(p.Application), plain(p.Reported), age)
	if governor := governorText(p); governor != "" {
		text += "; " + governor
	}
	return text
}

// pluginName returns a plugin's name in the proxy's configuration, which may leave it out.
func pluginName(p sidecar.PluginStatus) string {
	if p.Plugin == "" {
		return "(without a name)"
	}
	return plain(p.Plugin)
}

// governorText says who governs a plugin, if it is not the sidecar that was asked.
func governorText(p sidecar.PluginStatus) string {
	switch poll.Guard(p.Guard) {
	case poll.GuardOff:
		return `its resource_guard is "off"`
	case poll.GuardOther:
		return "it obeys another sidecar"
	}
	return ""
}

// envoyText lists the counters that are not 0, or that are worth an alert if they are.
func envoyText(e sidecar.EnvoyStatus) string {
	if e.Error != "" {
		return "no counters: " + plain(e.Error)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(e.Counters)) {
		if n := e.Counters[name]; n > 0 || strings.HasSuffix(name, configurationValid) {
			list = append(list, fmt.Sprintf("%s %d", plain(strings.TrimPrefix(name, "wasmcustom.")), n))
		}
	}
	if len(list) == 0 {
		return "all counters are 0"
	}
	return strings.Join(list, "\n\t")
}

func dumpsText(f sidecar.FilesStatus) string {
	text := fmt.Sprintf("%d bytes in %s", f.Bytes, plain(f.Dir))
	if f.Error != "" {
		text += "; cannot write: " + plain(f.Error)
	}
	return text
}
