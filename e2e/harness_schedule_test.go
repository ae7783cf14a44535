package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

// margin is how far the next window that a test does not want must be: longer than a test runs.
const margin = 600

// openStrategy returns a strategy whose window is open, and stays open for as long as tests run.
func openStrategy(t *testing.T) strategy.Strategy {
	t.Helper()
	now := time.Now().Unix()
	s := strategy.DefaultStrategy()
	s.Switch = strategy.SwitchOn
	for s.Interval = strategy.MaxInterval; s.Interval > 2*margin; s.Interval-- {
		if s.Duration = s.Interval - 1; now%s.Interval < s.Duration-margin {
			return s
		}
	}
	require.Fail(t, "no interval has an open window")
	return s
}

// closedStrategy returns a strategy that is on, and whose window does not open for as long as tests run.
func closedStrategy(t *testing.T) strategy.Strategy {
	t.Helper()
	now := time.Now().Unix()
	s := strategy.DefaultStrategy()
	s.Switch = strategy.SwitchOn
	for s.Interval = strategy.MaxInterval; s.Interval > 2*margin; s.Interval-- {
		if passed := now % s.Interval; passed > s.Duration && passed < s.Interval-margin {
			return s
		}
	}
	require.Fail(t, "no interval has a closed window")
	return s
}

// opensIn returns a strategy whose next window opens after lead seconds or a little later, is open for duration
// seconds, and when it opens, in seconds since the Unix epoch.
func opensIn(t *testing.T, lead, duration int64) (s strategy.Strategy, opens int64) {
	t.Helper()
	s = strategy.DefaultStrategy()
	s.Switch = strategy.SwitchOn
	s.Duration = duration
	earliest := time.Now().Unix() + lead
	for opens = earliest; opens < earliest+strategy.MinInterval; opens++ {
		// The window before has closed by now.
		least := max(strategy.MinInterval, opens-earliest+lead+duration+1)
		for s.Interval = least; s.Interval <= strategy.MaxInterval; s.Interval++ {
			if opens%s.Interval == 0 {
				return s, opens
			}
		}
	}
	require.Fail(t, "no interval has a window that opens soon")
	return s, 0
}

// pluginConfig returns a plugin configuration without a sidecar. capture and output are JSON objects.
func pluginConfig(s strategy.Strategy, capture, output string) string {
	return fmt.Sprintf(`{"strategy": %s, "resource_guard": "off", "capture": %s, "output": %s}`,
		s.AppendJSON(nil), capture, output)
}

// everything is a capture of all bytes, however fast they come.
const everything = `{"unit": "connections", "max_bytes_per_second": 0, "max_lines_per_second": 0}`
