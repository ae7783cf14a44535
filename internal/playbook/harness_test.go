package playbook_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/capture"
	. "l4dump/internal/playbook"
	"l4dump/internal/playbook/playbooktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// compile makes a playbook of events, which ends with the test.
func compile(t require.TestingT, options Options, sources ...capture.Source) *Playbook {
	book, err := playbooktest.Compile(options, sources...)
	require.NoError(t, err)
	if t, ok := t.(*testing.T); ok {
		t.Cleanup(func() { require.NoError(t, book.Close()) })
	}
	return book
}

// describe returns the steps and turns of a script, a line each.
func describe(t require.TestingT, s *Script) (lines []string) {
	steps := s.Steps()
	for {
		step, err := steps.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		sent, err := s.ReadSpans(nil, capture.Downstream, step.Span)
		require.NoError(t, err)
		end := ""
		if step.Gate.End {
			end = " and end"
		}
		line := fmt.Sprintf("%dms %s %q after %d bytes%s at %dms", (step.At-s.Start)/1e6, step.Kind, sent, step.Gate.Bytes, end, (step.Gate.At-s.Start)/1e6)
		if s.Protocol != "raw" {
			line += fmt.Sprintf(", answers %d, milestones %d", step.Gate.Answers, step.Gate.Milestones)
		}
		lines = append(lines, line)
	}
	turns := s.Turns()
	for {
		turn, err := turns.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		request, err := s.ReadSpans(nil, capture.Downstream, turn.Request)
		require.NoError(t, err)
		answer, err := s.ReadSpans(nil, capture.Upstream, turn.Answer...)
		require.NoError(t, err)
		line := strings.TrimSpace(fmt.Sprintf("turn %s %q %q", turn.Class, request, answer))
		if turn.Open {
			line += " open"
		}
		lines = append(lines, line)
	}
	return lines
}
