// Package diagnosis finds what is wrong with the configuration of l4dump's plugin in the files that people have of it:
// the configuration itself, Envoy's bootstrap and dynamic resources, what /config_dump and istioctl show, and manifests
// of Istio and Kubernetes.
package diagnosis

import "l4dump/internal/fault"

// Report is what was found in a file.
type Report struct {
	File string `json:"file"`
	Kind string `json:"kind"` // one of the kinds below
	// Faults keep the plugin or the proxy from doing what the file says.
	Faults []fault.Fault `json:"faults"`
	// Notes are what is good to know: what only the embedded engine lacks, a setting that a crash of the plugin would
	// make expensive, what is not l4dump's and was not judged.
	Notes []fault.Fault `json:"notes"`
}

// The kinds of a file.
const (
	kindPlugin    = "plugin configuration"
	kindBootstrap = "Envoy configuration"
	kindExtension = "extension configuration" // resources of a discovery service
	kindDump      = "dump of Envoy's configuration"
	kindResource  = "list of Envoy's resources"
	kindManifest  = "manifest"
	kindUnknown   = "configuration"
	kindMixed     = "file"
)
