//go:build !linux

package usage

import "runtime"

// cgroupsSupported says whether there are cgroups to be found.
const cgroupsSupported = false

// locate returns the node: there are no cgroups.
func locate(o *Options) (*placement, error) {
	p := &placement{scope: ScopeHost, withNode: true}
	if o.Scope == ScopeAuto {
		p.note = "no cgroups on " + runtime.GOOS
	}
	return p, nil
}
