package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// rounds is how many times a scenario must show the same.
func rounds() int {
	if os.Getenv("HEAVY") == "true" {
		return 20
	}
	return 3
}

// replayed is what a program reads of the report that replay writes.
type replayed struct {
	Outcome  string
	ExitCode int `json:"exit_code"`
	Reasons  []string
	Turns    struct {
		Selected, Equal, Masked, Different, Dependent uint64
		NotCompared                                   uint64 `json:"not_compared"`
		NotReplayed                                   uint64 `json:"not_replayed"`
	}
	Connections struct {
		Recorded, Selected, Played uint64
		Refused                    []struct{ Reason string }
	}
	Findings []finding
	Alarms   []finding
	Classes  []struct {
		Class, Protocol string
		Bytes           uint64
		MaskedBytes     uint64 `json:"masked_bytes"`
	}
	Noise []struct {
		Path, Form string
		Taken      uint64
	}
	Latencies []struct {
		Class  string
		Slower bool
	}

	text string // all of it
}

type finding struct {
	Class, Kind, Path  string
	Reruns, Seen       int
	Turns, Connections uint64
	Examples           []struct {
		At     string
		Offset int
	}
}

// record sends traffic through the plugin in front of a service, and returns the log with all of its connections.
func recordTraffic(t *testing.T, s subject, service string, connections int, traffic func(address string)) (log string) {
	t.Helper()
	s.require(t)
	p := start(t, s, newConfig(t, service, plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)}))
	traffic(p.address(listenerName))
	p.waitForCloses(connections)
	p.stop()
	return p.log
}

// newestEnvoy is the Envoy of versions.mk that came last.
func newestEnvoy(t *testing.T) subject {
	t.Helper()
	all := subjects(t)[1:]
	return slices.MaxFunc(all, func(a, b subject) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
}

// replay runs the replay command, and returns what it reports. Its turns must add up. How long answers take does not
// count unless --margin is given.
func replay(t *testing.T, log string, args ...string) *replayed {
	t.Helper()
	command := exec.Command(commandLine(t), append([]string{"replay", log, "--json", "--margin", "1000"}, args...)...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	text, err := command.Output()
	r := &replayed{text: string(text)}
	require.NoError(t, json.Unmarshal(text, r), "%v: %s", err, stderr.Bytes())
	require.Equal(t, r.ExitCode, command.ProcessState.ExitCode())
	turns := &r.Turns
	require.Equal(t, turns.Selected, turns.Equal+turns.Masked+turns.Different+turns.Dependent+turns.NotCompared+turns.NotReplayed)
	return r
}

// found returns what was found: classes, paths and kinds, sorted.
func (r *replayed) found() (all []string) {
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s | %s | %s", f.Class, f.Path, f.Kind))
	}
	slices.Sort(all)
	return all
}

// maskedShare is the share of the answers' bytes that was taken for noise.
func (r *replayed) maskedShare() float64 {
	var masked, all uint64
	for _, c := range r.Classes {
		masked, all = masked+c.MaskedBytes, all+c.Bytes
	}
	return float64(masked) / float64(all)
}

// requireSame requires that nothing was found, that all was compared, and that it was not so for being masked.
func (r *replayed) requireSame(t *testing.T, connections int) {
	t.Helper()
	require.Empty(t, r.found(), "%v", r.Reasons)
	require.Equal(t, []any{"same", 0, []string{}}, []any{r.Outcome, r.ExitCode, r.Reasons})
	require.Empty(t, r.Alarms)
	require.EqualValues(t, connections, r.Connections.Recorded)
	require.EqualValues(t, connections, r.Connections.Played, "%v", r.Connections.Refused)
	require.Equal(t, r.Turns.Selected, r.Turns.Equal+r.Turns.Masked)
	require.LessOrEqual(t, r.maskedShare(), 0.1)
}
