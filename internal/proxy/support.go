package proxy

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"l4dump/internal/envoyapi"
	"l4dump/internal/fault"
)

// rule says that a field may be set. check may refuse some of its values with a message; nil accepts all.
type rule struct {
	// why says what becomes of the field: that the engine obeys it, or why it is harmless.
	why   string
	check func(protoreflect.Value) string
}

const obeyed = "obeyed"

// supported lists every field that may be set, by the name of its message. What is not listed is a fault.
var supported = map[protoreflect.FullName]map[protoreflect.Name]rule{
	"envoy.config.bootstrap.v3.Bootstrap": {
		"node":             {why: obeyed},
		"static_resources": {why: obeyed},
		"admin":            {why: obeyed},
	},
	"envoy.config.bootstrap.v3.Bootstrap.StaticResources": {
		"listeners": {why: obeyed},
		"clusters":  {why: obeyed},
	},
	"envoy.config.bootstrap.v3.Admin": {"address": {why: obeyed}},
	"envoy.config.core.v3.Node": {
		"id":       {why: "obeyed: the property xds.node.id"},
		"cluster":  {why: "obeyed: the property xds.node.cluster"},
		"metadata": {why: "harmless: no plugin of this project reads it"},
		"locality": {why: "harmless: there is one locality"},
	},
	"envoy.config.core.v3.Locality": {
		"region": {why: "harmless: there is one locality"}, "zone": {why: "harmless: there is one locality"}, "sub_zone": {why: "harmless: there is one locality"},
	},
	"envoy.config.listener.v3.Listener": {
		"name":                              {why: obeyed},
		"address":                           {why: obeyed},
		"stat_prefix":                       {why: obeyed},
		"filter_chains":                     {why: obeyed},
		"per_connection_buffer_limit_bytes": {why: "obeyed up to 64 KiB, which is all that is ever read at once"},
		"traffic_direction":                 {why: "obeyed: the property xds.listener_direction"},
		"enable_reuse_port":                 {why: "harmless: one process accepts for all workers"},
		"metadata":                          {why: "harmless: nothing reads it"},
	},
	"envoy.config.listener.v3.FilterChain": {
		"name":    {why: "harmless: there is one chain"},
		"filters": {why: obeyed},
	},
	"envoy.config.listener.v3.Filter": {
		"name":             {why: obeyed},
		"typed_config":     {why: obeyed, check: oneOfTypes(wasmType, tcpProxyType)},
		"config_discovery": {why: obeyed},
	},
	"envoy.config.core.v3.ExtensionConfigSource": {
		"config_source":                        {why: obeyed},
		"default_config":                       {why: obeyed, check: oneOfTypes(wasmType, rbacType)},
		"apply_default_config_without_warming": {why: obeyed},
		"type_urls":                            {why: obeyed},
	},
	"envoy.config.core.v3.ConfigSource": {
		"path_config_source":    {why: obeyed},
		"resource_api_version":  {why: "harmless: there is one version"},
		"initial_fetch_timeout": {why: "harmless: a file is read at once"},
	},
	"envoy.config.core.v3.PathConfigSource": {
		"path":              {why: obeyed},
		"watched_directory": {why: obeyed},
	},
	"envoy.config.core.v3.WatchedDirectory":         {"path": {why: obeyed}},
	"envoy.extensions.filters.network.wasm.v3.Wasm": {"config": {why: obeyed}},
	"envoy.extensions.filters.network.rbac.v3.RBAC": {"stat_prefix": {why: "harmless: a filter without rules counts nothing of interest"}},
	"envoy.extensions.wasm.v3.PluginConfig": {
		"name":           {why: obeyed},
		"root_id":        {why: obeyed},
		"vm_config":      {why: obeyed},
		"configuration":  {why: obeyed, check: stringOrBytes},
		"fail_open":      {why: obeyed},
		"failure_policy": {why: obeyed, check: failurePolicy},
	},
	"envoy.extensions.wasm.v3.VmConfig": {
		"vm_id":                   {why: obeyed},
		"runtime":                 {why: "harmless: every WebAssembly runtime of Envoy is replaced by wazero", check: wasmRuntime},
		"code":                    {why: obeyed},
		"configuration":           {why: obeyed, check: stringOrBytes},
		"allow_precompiled":       {why: "harmless: a precompiled section is left unread"},
		"nack_on_code_cache_miss": {why: "harmless: a local module is never missing from the cache"},
	},
	"envoy.config.core.v3.AsyncDataSource": {"local": {why: obeyed}},
	"envoy.config.core.v3.DataSource": {
		"filename":     {why: obeyed},
		"inline_bytes": {why: obeyed},
	},
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy": {
		"stat_prefix":          {why: obeyed},
		"cluster":              {why: obeyed},
		"idle_timeout":         {why: obeyed},
		"max_connect_attempts": {why: obeyed},
	},
	"envoy.config.cluster.v3.Cluster": {
		"name":                              {why: obeyed},
		"type":                              {why: obeyed, check: oneOfNumbers("want STATIC, STRICT_DNS or LOGICAL_DNS", 0, 1, 2)},
		"connect_timeout":                   {why: obeyed},
		"load_assignment":                   {why: obeyed},
		"lb_policy":                         {why: obeyed, check: oneOfNumbers("want ROUND_ROBIN", 0)},
		"per_connection_buffer_limit_bytes": {why: "harmless: never more than 64 KiB is read at once"},
		"dns_lookup_family":                 {why: "harmless: both families are tried"},
		"alt_stat_name":                     {why: obeyed},
	},
	"envoy.config.endpoint.v3.ClusterLoadAssignment": {
		"cluster_name": {why: "harmless: the cluster has its own name"},
		"endpoints":    {why: obeyed},
	},
	"envoy.config.endpoint.v3.LocalityLbEndpoints": {
		"lb_endpoints": {why: obeyed},
		"locality":     {why: "harmless: all localities are used alike"},
	},
	"envoy.config.endpoint.v3.LbEndpoint": {"endpoint": {why: obeyed}},
	"envoy.config.endpoint.v3.Endpoint": {
		"address":  {why: obeyed},
		"hostname": {why: "harmless: used for TLS and for HTTP only"},
	},
	"envoy.config.core.v3.Address": {
		"socket_address": {why: obeyed},
		"pipe":           {why: obeyed},
	},
	"envoy.config.core.v3.SocketAddress": {
		"protocol":   {why: obeyed, check: oneOfNumbers("want TCP", 0)},
		"address":    {why: obeyed},
		"port_value": {why: obeyed},
	},
	"envoy.config.core.v3.Pipe": {"path": {why: obeyed}},
	"envoy.service.discovery.v3.DiscoveryResponse": {
		"version_info": {why: "obeyed: shown by /config_dump"},
		"resources":    {why: obeyed, check: oneOfTypes("envoy.config.core.v3.TypedExtensionConfig")},
		"type_url":     {why: "harmless: each resource names its type"},
	},
	"envoy.config.core.v3.TypedExtensionConfig": {
		"name":         {why: obeyed},
		"typed_config": {why: obeyed, check: oneOfTypes(wasmType, rbacType)},
	},
}

const (
	wasmType     = protoreflect.FullName("envoy.extensions.filters.network.wasm.v3.Wasm")
	rbacType     = protoreflect.FullName("envoy.extensions.filters.network.rbac.v3.RBAC")
	tcpProxyType = protoreflect.FullName("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy")
)

// opaque are messages whose fields are of no concern here.
var opaque = []protoreflect.FullName{"envoy.config.core.v3.Metadata"}

func oneOfTypes(types ...protoreflect.FullName) func(protoreflect.Value) string {
	return func(v protoreflect.Value) string {
		name := v.Message().Interface().(*anypb.Any).MessageName()
		if slices.Contains(types, name) {
			return ""
		}
		return fmt.Sprintf("type %s: %s", name, envoyapi.NotSupported)
	}
}

func oneOfNumbers(message string, numbers ...protoreflect.EnumNumber) func(protoreflect.Value) string {
	return func(v protoreflect.Value) string {
		if slices.Contains(numbers, v.Enum()) {
			return ""
		}
		return message + ": " + envoyapi.NotSupported
	}
}

// stringOrBytes refuses a Struct, which Envoy passes as protobuf bytes: never what its author meant.
func stringOrBytes(v protoreflect.Value) string {
	switch name := v.Message().Interface().(*anypb.Any).MessageName(); name {
	case "google.protobuf.StringValue", "google.protobuf.BytesValue":
		return ""
	default:
		return fmt.Sprintf("a %s reaches the plugin as protobuf bytes: put the JSON text into a google.protobuf.StringValue", name)
	}
}

func failurePolicy(v protoreflect.Value) string {
	const failReload = 1
	if v.Enum() == failReload {
		return "FAIL_RELOAD: " + envoyapi.NotSupported
	}
	return ""
}

func wasmRuntime(v protoreflect.Value) string {
	if name := v.String(); name == "envoy.wasm.runtime.null" || !strings.HasPrefix(name, "envoy.wasm.runtime.") {
		return fmt.Sprintf("runtime %q: %s", name, envoyapi.NotSupported)
	}
	return ""
}

// checkSupport reports each populated field below message that the engine does not support.
func checkSupport(message protoreflect.Message, path string, faults *envoyapi.Faults) {
	descriptor := message.Descriptor()
	if slices.Contains(opaque, descriptor.FullName()) || strings.HasPrefix(string(descriptor.FullName()), "google.protobuf.") {
		return
	}
	rules := supported[descriptor.FullName()]
	fields := descriptor.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !message.Has(field) {
			continue
		}
		at := fault.Join(path, string(field.Name()))
		r, ok := rules[field.Name()]
		if !ok {
			faults.AddAccepted(at, envoyapi.NotSupported)
			continue
		}
		value := message.Get(field)
		if !field.IsList() {
			checkValue(r, field, value, at, faults)
			continue
		}
		for i := range value.List().Len() {
			checkValue(r, field, value.List().Get(i), fmt.Sprintf("%s[%d]", at, i), faults)
		}
	}
}

func checkValue(r rule, field protoreflect.FieldDescriptor, value protoreflect.Value, path string, faults *envoyapi.Faults) {
	if r.check != nil {
		if message := r.check(value); message != "" {
			faults.AddAccepted(path, message)
			return
		}
	}
	if field.Message() == nil || field.IsMap() {
		return
	}
	inner := value.Message()
	if packed, ok := inner.Interface().(*anypb.Any); ok {
		unpacked, err := packed.UnmarshalNew()
		if err != nil {
			faults.Add(path, err.Error())
			return
		}
		inner = unpacked.ProtoReflect()
	}
	checkSupport(inner, path, faults)
}

// load reads the first document of text into message, as Envoy does, and returns all its faults; build adds those that
// only its caller can see.
func load(text []byte, message proto.Message, build func(*envoyapi.Faults)) envoyapi.Faults {
	documents, err := envoyapi.Documents(text)
	var content envoyapi.Content
	if len(documents) > 0 {
		content, err = documents[0].Envoy()
	}
	if err != nil {
		return envoyapi.Faults{{Fault: fault.Fault{Message: strings.TrimPrefix(err.Error(), "yaml: ")}}}
	}
	return loadContent(content, message, build)
}

func loadContent(content envoyapi.Content, message proto.Message, build func(*envoyapi.Faults)) envoyapi.Faults {
	faults := envoyapi.Decode(content.Value, message)
	if _, ok := content.Value.(map[string]any); !ok {
		return faults
	}
	for _, path := range content.Twice {
		faults.AddAccepted(path, "given twice: Envoy takes the last one")
	}
	n := len(faults)
	envoyapi.Constraints(message.ProtoReflect(), "", &faults)
	checkSupport(message.ProtoReflect(), "", &faults)
	build(&faults)
	faults.DropEchoes(n)
	return faults
}
