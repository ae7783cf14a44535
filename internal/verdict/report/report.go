// Package report writes what a replay found: for a person, as JSON, as JUnit for a build server, and as one HTML page.
package report

import (
	"time"

	"l4dump/internal/playbook"
	"l4dump/internal/replay"
	"l4dump/internal/verdict"
	"l4dump/internal/verdict/difference"
	"l4dump/internal/verdict/noise"
)

// Version is that of the report's form.
const Version = 1

// Report is what a replay found. All its lists are sorted, and none is nil.
type Report struct {
	Version     int             `json:"version"`
	Outcome     verdict.Outcome `json:"outcome"`
	ExitCode    int             `json:"exit_code"`
	Reasons     []string        `json:"reasons"`
	Sources     []string        `json:"sources"`
	Target      string          `json:"target"`
	Baseline    string          `json:"baseline,omitempty"` // empty: the recording
	Seconds     float64         `json:"seconds"`
	Connections Connections     `json:"connections"`
	Turns       verdict.Counts  `json:"turns"`
	Forced      uint64          `json:"forced_gates"`
	Findings    []Finding       `json:"findings"`
	Alarms      []Finding       `json:"alarms"` // of the baseline against itself
	Classes     []verdict.Class `json:"classes"`
	Latencies   []Latency       `json:"latencies"`
	Noise       []Noise         `json:"noise"`
	Run         *replay.Report  `json:"run,omitempty"` // of the pass in which target and baseline were compared
}

// Connections are numbers of connections: recorded = selected + refused, and selected = played + ended otherwise.
type Connections struct {
	Recorded uint64            `json:"recorded"`
	Selected uint64            `json:"selected"`
	Played   uint64            `json:"played"`
	Refused  []Refused         `json:"refused"`
	Ended    map[string]uint64 `json:"ended"` // by how
}

// Refused is why connections were not played.
type Refused struct {
	Reason      string `json:"reason"`
	Connections uint64 `json:"connections"`
}

// Finding is a kind of difference at one place of a class.
type Finding struct {
	Protocol    string          `json:"protocol"`
	Class       string          `json:"class"`
	Kind        difference.Kind `json:"kind"`
	Path        string          `json:"path"`
	Turns       uint64          `json:"turns"`
	OfTurns     uint64          `json:"of_turns"`
	Connections uint64          `json:"connections"`
	Reruns      int             `json:"reruns"`   // how many times the examples' connections were played again
	Seen        int             `json:"seen"`     // in how many of these it was found
	Doubtful    bool            `json:"doubtful"` // it may be chance
	Examples    []Example       `json:"examples"`
}

// Example is one turn with the difference.
type Example struct {
	Connection string `json:"connection"`
	Turn       int    `json:"turn"` // from 0
	At         string `json:"at"`   // the exact place
	Expected   *Value `json:"expected"`
	Came       *Value `json:"came"`
	Offset     int    `json:"offset"` // of the first byte that differs, in the value
	Again      string `json:"again"`  // the command that plays it again
}

// Value is a value in a report: what it is like, and a hash that is the same for the same values of one run. Text is the
// value itself, if values may be shown.
type Value struct {
	Form  string  `json:"form"`
	Bytes int     `json:"bytes"`
	Hash  string  `json:"hash"`
	Text  *string `json:"text,omitempty"` // from From on
	From  int     `json:"from,omitempty"`
	// Hex is, if values may be shown, the bytes of the value around the first one that differs, from HexFrom on.
	Hex     string `json:"hex,omitempty"`
	HexFrom int    `json:"hex_from,omitempty"`

	at int // of the first byte that differs, in Text
}

// Latency is a verdict.Latency in milliseconds; a quantile of 0 is not known.
type Latency struct {
	Protocol string     `json:"protocol"`
	Class    string     `json:"class"`
	Turns    [2]uint64  `json:"turns"` // of the baseline and of the target, as all pairs here
	P50      [2]float64 `json:"p50_ms"`
	P90      [2]float64 `json:"p90_ms"`
	P99      [2]float64 `json:"p99_ms"`
	Shift    float64    `json:"shift_ms"`
	Least    float64    `json:"shift_at_least_ms"`
	Slower   bool       `json:"slower"`
}

// Noise is a rule and how many differences it took.
type Noise struct {
	noise.Rule
	Taken uint64 `json:"taken"`
}

// Input is what a Report is made of.
type Input struct {
	Sources    []string
	Target     string
	Baseline   string
	Elapsed    time.Duration
	Playbook   *playbook.Playbook
	Selected   uint64 // connections that were to be played
	Compared   *verdict.Compared
	Run        *replay.Report
	Judgment   verdict.Judgment
	Limits     verdict.Limits
	ShowValues bool
	// Again returns the command that plays one connection again.
	Again func(connection string) string
}

// New returns the report of a run.
func New(in Input) *Report {
	r := &Report{
		Version: Version, Outcome: in.Judgment.Outcome, ExitCode: in.Judgment.Outcome.Code(),
		Reasons: printables(in.Judgment.Reasons), Sources: printables(in.Sources), Target: printable(in.Target), Baseline: printable(in.Baseline),
		Seconds: in.Elapsed.Seconds(), Turns: in.Compared.Turns, Forced: in.Compared.Forced, Classes: []verdict.Class{},
		Findings: []Finding{}, Alarms: []Finding{}, Latencies: []Latency{}, Noise: []Noise{}, Run: in.Run,
	}
	r.Connections = Connections{
		Recorded: in.Playbook.Recorded, Selected: in.Selected, Played: in.Compared.Played,
		Refused: []Refused{}, Ended: in.Compared.Hows,
	}
	for _, refusal := range in.Playbook.Refused {
		r.Connections.Refused = append(r.Connections.Refused, Refused{refusal.Reason, refusal.Connections})
	}
	for _, class := range in.Compared.Classes {
		class.Class = printable(class.Class)
		r.Classes = append(r.Classes, class)
	}
	hide := newHider(in.ShowValues)
	if r.Run != nil && !in.ShowValues {
		r.Run = hideQuoted(r.Run)
	}
	for i := range in.Compared.Findings {
		r.Findings = append(r.Findings, finding(&in.Compared.Findings[i], in.Compared.Results, hide, in.Again))
	}
	for i := range in.Compared.Alarms {
		r.Alarms = append(r.Alarms, finding(&in.Compared.Alarms[i], in.Compared.Results, hide, nil))
	}
	for i := range in.Compared.Latencies {
		r.Latencies = append(r.Latencies, latency(&in.Compared.Latencies[i], in.Limits))
	}
	if in.Compared.Noise != nil {
		for _, use := range in.Compared.Noise.Uses() {
			if use.Count > 0 || !use.Known { // that a rule of a file is of no use is worth knowing
				rule := use.Rule
				rule.Class, rule.Path, rule.Reason = printable(rule.Class), printable(rule.Path), printable(rule.Reason)
				r.Noise = append(r.Noise, Noise{rule, use.Count})
			}
		}
	}
	return r
}

func finding(of *verdict.Finding, in *verdict.Results, hide *hider, again func(string) string) Finding {
	f := Finding{
		Protocol: of.Protocol, Class: printable(of.Class), Kind: of.Kind, Path: printable(of.Path), Turns: of.Turns,
		Connections: of.Connections, Reruns: of.Reruns, Seen: of.Seen, Doubtful: of.Doubtful, Examples: []Example{},
	}
	if class := in.Class(of.Protocol, of.Class); class != nil {
		f.OfTurns = class.Selected
	}
	for i := range of.Examples {
		e := &of.Examples[i]
		example := Example{Connection: e.Connection.String(), Turn: e.Turn, At: printable(e.At), Offset: e.Offset}
		if hide.show && e.Exact != "" {
			example.At = printable(e.Exact)
		}
		if again != nil {
			example.Again = printable(again(example.Connection))
		}
		hide := hide
		if e.Kind == difference.Ending { // who ended it is no value of a peer
			hide = &hider{show: true, key: hide.key}
		}
		if e.HasA {
			example.Expected = hide.value(e.A, e.LengthA, e.From, e.Offset)
		}
		if e.HasB {
			example.Came = hide.value(e.B, e.LengthB, e.From, e.Offset)
		}
		if e.TypeA != "" && e.TypeB != "" { // else 17.5 and "17.5" look alike
			example.Expected.Form, example.Came.Form = e.TypeA, e.TypeB
		}
		f.Examples = append(f.Examples, example)
	}
	return f
}

func latency(of *verdict.Latency, limits verdict.Limits) Latency {
	ms := func(d [2]time.Duration) [2]float64 { return [2]float64{milliseconds(d[0]), milliseconds(d[1])} }
	return Latency{
		Protocol: of.Protocol, Class: printable(of.Class), Turns: of.N, P50: ms(of.P50), P90: ms(of.P90), P99: ms(of.P99),
		Shift: milliseconds(of.Shift), Least: milliseconds(of.Least), Slower: of.Slower(limits.Margin, limits.Shift),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
