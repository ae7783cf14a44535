package usage

import "fmt"

// Scope is what is measured.
type Scope string

// The scopes.
const (
	ScopeAuto   Scope = "auto"   // the node, and the pod's cgroup if it is visible, else the process's own if that is
	ScopeHost   Scope = "host"   // the node alone
	ScopeCgroup Scope = "cgroup" // the process's own cgroup alone
	ScopePod    Scope = "pod"    // the pod's cgroup alone
)

// ParseScope returns the scope that text names.
func ParseScope(text string) (Scope, error) {
	switch s := Scope(text); s {
	case ScopeAuto, ScopeHost, ScopeCgroup, ScopePod:
		return s, nil
	}
	return "", fmt.Errorf("parse scope: want auto, host, cgroup or pod, got %q", text)
}
