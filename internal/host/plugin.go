package host

// FailurePolicy says what becomes of connections when the plugin has failed.
type FailurePolicy int

const (
	// FailClosed closes them: Envoy's default.
	FailClosed FailurePolicy = iota
	// FailOpen closes those that the failed VM had, and lets new ones through without the plugin.
	FailOpen
	// FailOpenLive lets all of them through without the plugin: Envoy's fail_open.
	FailOpenLive
)

// Plugin is one configuration of a plugin.
type Plugin struct {
	Name          string
	RootID        string
	Configuration []byte
	FailurePolicy FailurePolicy
	// ListenerDirection is Envoy's TrafficDirection: 0 unspecified, 1 inbound, 2 outbound.
	ListenerDirection int64
	NodeID            string // empty: the bootstrap names no node
	NodeCluster       string
}

// streamPrefix begins the log lines of streams: " name root_id vm_id", without what is empty.
func (p *Plugin) streamPrefix(vmID string) string {
	if p.Name == "" {
		return p.rootPrefix(vmID)
	}
	return " " + p.Name + p.rootPrefix(vmID)
}

// rootPrefix begins the log lines of root contexts: " root_id vm_id".
func (p *Plugin) rootPrefix(vmID string) string {
	prefix := ""
	if p.RootID != "" {
		prefix = " " + p.RootID
	}
	if vmID != "" {
		prefix += " " + vmID
	}
	return prefix
}
