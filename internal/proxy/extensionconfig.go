package proxy

import (
	"fmt"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"l4dump/internal/envoyapi"
	"l4dump/internal/host"
)

// extensionConfig is a filter: a plugin, or one that allows everything if plugin is nil.
type extensionConfig struct {
	message *anypb.Any // what it was made of
	plugin  *host.Plugin
	vm      host.VMConfig // Code is set for inline code only
	code    string        // the name of the file with the code
}

// discoveryConfig is a filter whose configuration comes from a file.
type discoveryConfig struct {
	name      string // of the resource
	path      string // of the file
	watched   string // the directory to watch; empty: that of the file
	types     []string
	fallback  *extensionConfig // may be nil
	immediate bool             // the fallback is used until the file has been read
}

// buildExtension reads a Wasm filter or an RBAC filter without rules.
func buildExtension(config *anypb.Any, path string, faults *envoyapi.Faults) *extensionConfig {
	extension := &extensionConfig{message: config}
	message, err := config.UnmarshalNew()
	if err != nil {
		faults.Add(path, err.Error())
		return extension
	}
	switch m := message.(type) {
	case *rbacv3.RBAC:
		return extension
	case *wasmfilterv3.Wasm:
		extension.buildPlugin(m.GetConfig(), path+".config", faults)
	}
	return extension // checkSupport has named the type
}

func (e *extensionConfig) buildPlugin(config *wasmv3.PluginConfig, path string, faults *envoyapi.Faults) {
	e.plugin = &host.Plugin{Name: config.GetName(), RootID: config.GetRootId(), Configuration: anyBytes(config.GetConfiguration())}
	//nolint:staticcheck // deprecated, but failure_policy has nothing that keeps live connections
	failOpen := config.GetFailOpen()
	switch {
	case failOpen && config.GetFailurePolicy() != wasmv3.FailurePolicy_UNSPECIFIED:
		faults.Add(path+".fail_open", "only one of fail_open and failure_policy may be set")
	case failOpen:
		e.plugin.FailurePolicy = host.FailOpenLive
	case config.GetFailurePolicy() == wasmv3.FailurePolicy_FAIL_OPEN:
		e.plugin.FailurePolicy = host.FailOpen
	}
	vm := config.GetVmConfig()
	if vm == nil {
		faults.Add(path+".vm_config", "want the VM's configuration")
		return
	}
	e.vm = host.VMConfig{ID: vm.GetVmId(), Configuration: anyBytes(vm.GetConfiguration())}
	switch code := vm.GetCode().GetLocal().GetSpecifier().(type) {
	case *corev3.DataSource_Filename:
		e.code = code.Filename
	case *corev3.DataSource_InlineBytes:
		e.vm.Code = code.InlineBytes
	}
	if vm.GetCode() == nil {
		faults.Add(path+".vm_config.code", "want a local module")
	}
}

// anyBytes returns the text or the bytes in a StringValue or BytesValue.
func anyBytes(packed *anypb.Any) []byte {
	message, err := packed.UnmarshalNew()
	if err != nil {
		return nil // absent, or reported by checkSupport
	}
	switch m := message.(type) {
	case *wrapperspb.StringValue:
		return []byte(m.GetValue())
	case *wrapperspb.BytesValue:
		return m.GetValue()
	}
	return nil
}

func buildDiscovery(filter *listenerv3.Filter, path string, faults *envoyapi.Faults) *discoveryConfig {
	source := filter.GetConfigDiscovery()
	file := source.GetConfigSource().GetPathConfigSource()
	d := &discoveryConfig{
		name: filter.GetName(), path: file.GetPath(), watched: file.GetWatchedDirectory().GetPath(), types: source.GetTypeUrls(),
		immediate: source.GetApplyDefaultConfigWithoutWarming(),
	}
	if d.path == "" {
		faults.Add(path+".config_source.path_config_source.path", "want the name of a file")
	}
	if config := source.GetDefaultConfig(); config != nil {
		d.fallback = buildExtension(config, path+".default_config", faults)
		if err := d.checkType(config); err != nil {
			faults.Add(path+".default_config", err.Error())
		}
	} else if d.immediate {
		faults.Add(path+".apply_default_config_without_warming", "want a default_config as well")
	}
	return d
}

func (d *discoveryConfig) checkType(config *anypb.Any) error {
	for _, url := range d.types {
		if (&anypb.Any{TypeUrl: url}).MessageName() == config.MessageName() {
			return nil
		}
	}
	return fmt.Errorf("type %s is not one of type_urls", config.GetTypeUrl())
}

// extensionFile is what a file of extension configurations holds.
type extensionFile struct {
	version   string
	resources []extensionResource
}

type extensionResource struct {
	name      string
	extension *extensionConfig
}

// readExtensionFile reads a DiscoveryResponse of TypedExtensionConfig resources, in YAML or JSON.
func readExtensionFile(file string) (*extensionFile, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read extension configuration: %w", err)
	}
	response := new(discoveryv3.DiscoveryResponse)
	f := new(extensionFile)
	faults := load(text, response, func(faults *envoyapi.Faults) { f.build(response, faults) })
	if len(faults) > 0 {
		return nil, fmt.Errorf("read %s:\n%w", file, faults)
	}
	return f, nil
}

func (f *extensionFile) build(response *discoveryv3.DiscoveryResponse, faults *envoyapi.Faults) {
	f.version = response.GetVersionInfo()
	for i, packed := range response.GetResources() {
		resource := new(corev3.TypedExtensionConfig)
		if packed.UnmarshalTo(resource) != nil || resource.GetTypedConfig() == nil {
			continue // named by checkSupport
		}
		extension := buildExtension(resource.GetTypedConfig(), fmt.Sprintf("resources[%d].typed_config", i), faults)
		f.resources = append(f.resources, extensionResource{resource.GetName(), extension})
	}
}

// DiscoveryFiles returns the files of extension configurations that the listeners refer to.
func (c *Config) DiscoveryFiles() []string {
	var files []string
	for _, l := range c.listeners {
		for _, f := range l.filters {
			if f.discovery != nil {
				files = append(files, f.discovery.path)
			}
		}
	}
	return files
}

// key tells whether two filters of the same direction are one.
func (e *extensionConfig) key() string {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(e.message)
	if err != nil {
		// What was read from a file can be written.
		panic(err)
	}
	return string(data)
}
