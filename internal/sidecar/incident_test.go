package sidecar

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIncident(t *testing.T) {
	one, other := errors.New("one"), errors.New("other")
	type step struct {
		after  time.Duration // since the start
		report error
		flush  bool // instead of the report
	}
	tests := []struct {
		name  string
		pause time.Duration
		steps []step
		want  []string
	}{
		{name: "works from the start", steps: []step{{}, {}}},
		{name: "fails", steps: []step{{report: one}, {report: one}}, want: []string{"failed one"}},
		{name: "fails otherwise", steps: []step{{report: one}, {report: other}}, want: []string{"failed one", "failed other"}},
		{name: "works again", steps: []step{{report: one}, {}}, want: []string{"failed one", "ended"}},
		{
			name: "within the pause, and no more", pause: time.Minute,
			steps: []step{{report: one}, {after: time.Minute - 1, report: other}}, want: []string{"failed one"},
		},
		{
			name: "within the pause, and again after it", pause: time.Minute,
			steps: []step{{report: one}, {after: time.Second, report: other}, {after: time.Minute, report: other}},
			want:  []string{"failed one", "failed other"},
		},
		{
			name: "within the pause, and told by flush", pause: time.Minute,
			steps: []step{{report: one}, {after: time.Second}, {after: time.Minute - 1, flush: true}, {after: time.Minute, flush: true}},
			want:  []string{"failed one", "ended"},
		},
		{
			name: "as before when the pause is over", pause: time.Minute,
			steps: []step{{report: one}, {after: time.Second}, {after: 2 * time.Second, report: one}, {after: time.Minute, flush: true}},
			want:  []string{"failed one"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log logBuffer
			now := &clock{now: epoch}
			i := &incident{
				log: slog.New(slog.NewTextHandler(&log, nil)), failed: "failed", ended: "ended", pause: tt.pause, now: now.Now,
			}
			for _, s := range tt.steps {
				now.set(epoch.Add(s.after))
				if s.flush {
					i.flush()
				} else {
					i.report(s.report)
				}
			}
			var got []string
			for line := range strings.Lines(log.String()) {
				_, said, _ := strings.Cut(strings.TrimSpace(line), "msg=")
				got = append(got, strings.ReplaceAll(said, "error=", ""))
			}
			require.Equal(t, tt.want, got)
		})
	}
}
