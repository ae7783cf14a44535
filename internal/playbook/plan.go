package playbook

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Plan is what would be played, for a person and for programs.
type Plan struct {
	Recorded    uint64            `json:"recorded"` // connections: those of Connections and of Refused
	Connections int               `json:"connections"`
	Refused     []PlanRefusal     `json:"refused,omitempty"`
	Cut         uint64            `json:"cut"` // of Connections, those that end before the recorded ones
	Protocols   map[string]uint64 `json:"protocols"`
	Fallbacks   map[string]uint64 `json:"fallbacks,omitempty"` // why connections are raw though they were taken for others
	Turns       uint64            `json:"turns"`
	Writes      uint64            `json:"writes"` // turns that may change something, if their class is known
	Classes     []PlanClass       `json:"classes,omitempty"`
	BytesSent   uint64            `json:"bytes_sent"`
	BytesBack   uint64            `json:"bytes_received"`
	Lasts       float64           `json:"seconds"` // the recording
	Peak        int               `json:"open_at_a_time"`
}

// PlanRefusal is why connections are not played.
type PlanRefusal struct {
	Reason      string `json:"reason"`
	Connections uint64 `json:"connections"`
	Example     string `json:"example"`
}

// PlanClass is how many turns there are of a class.
type PlanClass struct {
	Protocol string `json:"protocol"`
	Class    string `json:"class"`
	Turns    uint64 `json:"turns"`
	Writes   bool   `json:"writes"`
}

// Plan returns what the playbook holds; the most frequent classes come first.
func (p *Playbook) Plan() *Plan {
	t := &p.Totals
	plan := &Plan{
		Recorded: p.Recorded, Connections: p.Len(), Cut: t.Cut, Protocols: t.Protocols, Fallbacks: t.Fallbacks, Turns: t.Turns,
		BytesSent: t.Bytes[0], BytesBack: t.Bytes[1], Lasts: time.Duration(t.End - t.Start).Seconds(), Peak: t.Peak,
	}
	for _, r := range p.Refused {
		plan.Refused = append(plan.Refused, PlanRefusal{r.Reason, r.Connections, r.Example.String()})
	}
	for class, turns := range t.Classes {
		plan.Classes = append(plan.Classes, PlanClass{class.Protocol, class.Name, turns, class.Writes()})
		if class.Writes() {
			plan.Writes += turns
		}
	}
	slices.SortFunc(plan.Classes, func(a, b PlanClass) int {
		return cmp.Or(cmp.Compare(b.Turns, a.Turns), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Class, b.Class))
	})
	return plan
}

// maxPlanRows bounds the classes that WriteText shows.
const maxPlanRows = 20

// WriteText writes the plan for a person.
func (p *Plan) WriteText(w io.Writer) {
	fmt.Fprintf(w, "connections  %d recorded, %d to play", p.Recorded, p.Connections)
	if p.Cut > 0 {
		fmt.Fprintf(w, " (%d of them in part)", p.Cut)
	}
	fmt.Fprintf(w, ", at most %d at a time, within %s\n", p.Peak, time.Duration(p.Lasts*float64(time.Second)).Round(time.Millisecond))
	for _, r := range p.Refused {
		fmt.Fprintf(w, "refused      %6d  %s (as %s)\n", r.Connections, r.Reason, r.Example)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Protocols)) {
		fmt.Fprintf(w, "protocol     %6d  %s\n", p.Protocols[name], name)
	}
	for _, why := range slices.Sorted(maps.Keys(p.Fallbacks)) {
		fmt.Fprintf(w, "             %6d  raw, as %s\n", p.Fallbacks[why], why)
	}
	fmt.Fprintf(w, "turns        %d, %d of which may write; %d bytes to send, %d came back", p.Turns, p.Writes, p.BytesSent, p.BytesBack)
	if p.Lasts > 0 {
		fmt.Fprintf(w, "; %.1f turns/s", float64(p.Turns)/p.Lasts)
	}
	fmt.Fprintln(w)
	for i, class := range p.Classes {
		if i == maxPlanRows {
			fmt.Fprintf(w, "             and %d classes more\n", len(p.Classes)-i)
			break
		}
		writes := ""
		if class.Writes {
			writes = "  may write"
		}
		fmt.Fprintf(w, "             %6d  %q%s\n", class.Turns, class.Class, writes)
	}
}
