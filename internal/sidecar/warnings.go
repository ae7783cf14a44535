package sidecar

import (
	"fmt"
	"time"

	"l4dump/strategy"
)

// LeastStaleAfter returns the least age from which a measurement may not be believed, so that recording does not stop
// and start again between two of them: measurements are taken each sample, the next one may come late by as much, and
// who asks each poll has the last one that long. poll is 0 for the sidecar itself.
func LeastStaleAfter(sample, poll time.Duration) time.Duration { return 2*sample + poll }

// warnings are what a person should know of the sidecar although it works.
func (s *Server) warnings(v view) []string {
	list := []string{}
	if v.usage.note != "" {
		list = append(list, "usage is measured in part: "+v.usage.note)
	}
	sample := s.options.SampleInterval
	if sample == 0 {
		return list
	}
	if least := LeastStaleAfter(sample, 0); s.options.UsageStaleAfter < least {
		list = append(list, fmt.Sprintf("stale-after is %v, so that recording flaps: want at least %v, twice sample-interval",
			s.options.UsageStaleAfter, least))
	}
	if !v.usage.fresh(v.now, s.options.UsageStaleAfter) {
		return list
	}
	for _, r := range v.reports {
		if r.Reason == strategy.UsageUnknown.String() {
			list = append(list, fmt.Sprintf("plugin %q does not believe a measurement that is fresh here: if this lasts, its "+
				"stale_after is too short, want at least %v and its poll_interval together", r.Plugin, LeastStaleAfter(sample, 0)))
		}
	}
	return list
}
