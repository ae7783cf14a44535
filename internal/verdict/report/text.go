package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"l4dump/internal/verdict"
)

// maxTold bounds the differences, and the rules, that a person is told of.
const maxTold = 50

// Text writes the report for a person. color is for terminals.
func (r *Report) Text(to io.Writer, color bool) error {
	var b strings.Builder
	p := paint(color)
	against := "the recording"
	if r.Baseline != "" {
		against = r.Baseline
	}
	fmt.Fprintf(&b, "%s against %s, %.1f s\n\n", r.Target, against, r.Seconds)
	b.WriteString(r.numbers())
	for i := range r.Findings {
		if i == maxTold {
			fmt.Fprintf(&b, "\n… and %s; --json and --html tell all\n", count(uint64(len(r.Findings)-i), "other difference"))
			break
		}
		f := &r.Findings[i]
		word := p.bad("CHANGED")
		if f.Doubtful {
			word = p.doubtful("CHANCE?")
		}
		f.text(&b, word)
	}
	for i := range min(len(r.Alarms), maxTold) {
		r.Alarms[i].text(&b, p.doubtful("ALARM  "))
	}
	for i := range r.Latencies {
		r.Latencies[i].text(&b, p)
	}
	r.noise(&b)
	b.WriteByte('\n')
	fmt.Fprintf(&b, "verdict  %s (exit %d)\n", p.outcome(r.Outcome), r.ExitCode)
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "         %s\n", reason)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// numbers are the lines of numbers that add up.
func (r *Report) numbers() string {
	var b strings.Builder
	lines := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	c, t := r.Connections, r.Turns
	refused := uint64(0)
	var why []string
	for _, each := range c.Refused {
		refused += each.Connections
		why = append(why, fmt.Sprintf("%d: %s", each.Connections, each.Reason))
	}
	fmt.Fprintf(lines, "connections\trecorded %d, played %d of %d", c.Recorded, c.Played, c.Selected)
	if refused > 0 {
		fmt.Fprintf(lines, ", refused %d (%s)", refused, strings.Join(why, "; "))
	}
	fmt.Fprintf(lines, "\nturns\t%d = equal %d + masked %d + different %d + dependent %d + not compared %d + not replayed %d\n",
		t.Selected, t.Equal, t.Masked, t.Different, t.Dependent, t.NotCompared, t.NotReplayed)
	fmt.Fprintf(lines, "gates\tforced %d\n", r.Forced)
	_ = lines.Flush() // to memory
	return b.String()
}

// text writes the finding. word tells what it is.
func (f *Finding) text(b *strings.Builder, word string) {
	class := f.Class
	if class == "" {
		class = f.Protocol
	}
	fmt.Fprintf(b, "\n%s  %s: %s\n", word, class, f.what())
	fmt.Fprintf(b, "         in %d of %s of %s", f.Turns, count(f.OfTurns, "turn"), count(f.Connections, "connection"))
	if f.Reruns > 0 {
		fmt.Fprintf(b, ", found again in %d of %d", f.Seen, f.Reruns)
	}
	b.WriteByte('\n')
	for i := range f.Examples {
		e := &f.Examples[i]
		fmt.Fprintf(b, "         %s turn %d", e.Connection, e.Turn)
		if e.At != "" {
			fmt.Fprintf(b, ", %s", e.At)
		}
		if e.Offset > 0 {
			fmt.Fprintf(b, ", from byte %d on", e.Offset)
		}
		if e.Expected != nil || e.Came != nil {
			fmt.Fprintf(b, ": expected %v, came %v", e.Expected, e.Came)
		}
		b.WriteByte('\n')
		if e.Expected.binary() || e.Came.binary() {
			e.Expected.hex(b, "expected")
			e.Came.hex(b, "came")
		}
	}
	if len(f.Examples) > 0 && f.Examples[0].Again != "" {
		fmt.Fprintf(b, "         again: %s\n", f.Examples[0].Again)
	}
}

// what names the difference: "header:server, removed field".
func (f *Finding) what() string {
	if f.Path == "" {
		return f.Kind.String()
	}
	return f.Path + ", " + f.Kind.String()
}

// count is a number and what it counts, in the plural if it is not one.
func count(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.FormatUint(n, 10) + " " + what
}

func (l *Latency) text(b *strings.Builder, p painter) {
	if !l.Slower {
		return
	}
	fmt.Fprintf(b, "\n%s   %s: p50 %g → %g ms\n         %+g ms in the middle, %+g ms at least, in %s\n",
		p.bad("SLOWER"), l.Class, l.P50[0], l.P50[1], l.Shift, l.Least, count(l.Turns[1], "turn"))
}

func (r *Report) noise(b *strings.Builder) {
	for i := range r.Noise {
		if i == maxTold {
			fmt.Fprintf(b, "noise    and %s; --json and --html tell all\n", count(uint64(len(r.Noise)-i), "other rule"))
			break
		}
		n := &r.Noise[i]
		taken := "no value"
		if n.Taken > 0 {
			taken = count(n.Taken, "value")
		}
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "noise    %s in %s: %s\n", strings.TrimSpace(n.Class+" "+n.Path), taken, n.Reason)
	}
}

// painter colors words.
type painter struct{ on bool }

func paint(on bool) painter { return painter{on} }

func (p painter) color(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) bad(s string) string { return p.color("31;1", s) }

func (p painter) doubtful(s string) string { return p.color("33;1", s) }

func (p painter) outcome(o verdict.Outcome) string {
	switch o {
	case verdict.Same:
		return p.color("32;1", o.String())
	case verdict.Inconclusive:
		return p.doubtful(o.String())
	default:
		return p.bad(o.String())
	}
}

// binary reports whether the value may be shown, and its text does not show it as it is.
func (v *Value) binary() bool { return v != nil && v.Text != nil && *v.Text != printable(*v.Text) }

// hex writes the bytes around what differs.
func (v *Value) hex(b *strings.Builder, name string) {
	if v == nil || v.Text == nil {
		return
	}
	begin := v.HexFrom - v.From
	bytes := (*v.Text)[begin : begin+len(v.Hex)/2]
	fmt.Fprintf(b, "           %-8s from byte %d: % x | % x\n", name, v.HexFrom, bytes[:v.at-begin], bytes[v.at-begin:])
}
