package sidecar

import (
	"fmt"

	"l4dump/internal/usage"
	"l4dump/strategy"
)

// warnings are what a person should know of the sidecar although it works.
func (s *Server) warnings(v view) []string {
	list := []string{}
	switch {
	case v.usage.failure != "":
		list = append(list, "usage cannot be measured: "+v.usage.failure)
	case v.usage.note != "":
		list = append(list, "usage is measured in part: "+v.usage.note)
	}
	sample := s.options.SampleInterval
	if sample == 0 {
		return list
	}
	if least := usage.LeastStaleAfter(sample, 0); s.options.UsageStaleAfter < least {
		list = append(list, fmt.Sprintf("stale-after is %v, so that recording flaps: want at least %v, twice sample-interval",
			s.options.UsageStaleAfter, least))
	}
	if !v.usage.fresh(v.now, s.options.UsageStaleAfter) {
		return list
	}
	for _, r := range v.reports {
		if r.Reason == strategy.UsageUnknown.String() {
			list = append(list, fmt.Sprintf("plugin %q does not believe a measurement that is fresh here: if this lasts, its "+
				"stale_after is too short, want at least %v and its poll_interval together", r.Plugin, usage.LeastStaleAfter(sample, 0)))
		}
	}
	return list
}
