package command

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"l4dump/strategy"
)

// tally holds the values of the plugins' counters, by the names that the plugins gave: "l4dump_bytes_seen_total".
type tally map[string]uint64

// tallyPrefix begins the name of each counter of the plugin.
const tallyPrefix = "l4dump_"

// tallySeen counts the connections: whoever has it has the plugin.
const tallySeen = tallyPrefix + "connections_seen_total"

// write says how much was recorded, and for each reason how much was not, those of the most connections first. A tally
// without a plugin has nothing to say.
func (t tally) write(w io.Writer) {
	seen, ok := t[tallySeen]
	if !ok {
		return
	}
	fmt.Fprintf(w, "l4dump: recorded %d of %s, %d of %d bytes\n", t[tallyPrefix+"connections_kept_total"], connections(seen),
		t[tallyPrefix+"bytes_kept_total"], t[tallyPrefix+"bytes_seen_total"])
	for _, l := range t.shortfalls() {
		what := fmt.Sprintf("%d bytes", l.bytes)
		switch {
		case l.connections > 0 && l.bytes > 0:
			what = fmt.Sprintf("%s (%s)", connections(l.connections), what)
		case l.connections > 0:
			what = connections(l.connections)
		}
		fmt.Fprintf(w, "l4dump: not recorded, because of %s: %s%s\n", l.reason, what, remedy(l.reason))
	}
}

// shortfall is what was not recorded for one reason. A connection that was recorded in part counts with its bytes only.
type shortfall struct {
	reason             strategy.Reason
	connections, bytes uint64
}

func (t tally) shortfalls() []shortfall {
	var all []shortfall
	for r := strategy.Recorded + 1; r < strategy.Reasons; r++ {
		l := shortfall{r, t[tallyPrefix+"connections_dropped_"+r.String()+"_total"], t[tallyPrefix+"bytes_dropped_"+r.String()+"_total"]}
		if l.connections > 0 || l.bytes > 0 {
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, func(a, b shortfall) int {
		return cmp.Or(cmp.Compare(b.connections, a.connections), cmp.Compare(b.bytes, a.bytes))
	})
	return all
}

// remedy says what has more recorded, if something is to be done about r.
func remedy(r strategy.Reason) string {
	switch keys := limitKeys(r); {
	case keys != "":
		return "; raise " + keys
	case r == strategy.ForcedOff:
		return "; l4dump ctl clear ends it"
	case r == strategy.SwitchedOff:
		return `; strategy.switch "ON" records`
	}
	return ""
}

// limitKeys returns the keys of the configuration that raise the limit r, for a sentence; "" if r is no limit.
func limitKeys(r strategy.Reason) string { return strings.ReplaceAll(r.Key(), ", ", " or ") }
