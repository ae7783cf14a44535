package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"l4dump/internal/envoyapi"
	"l4dump/internal/mask"
)

// The messages that decide what masks see.
const (
	tlsInspectorType = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
	rawBufferType    = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
	compressorType   = "envoy.extensions.filters.http.compressor.v3.Compressor"
)

// What masks do not see.
const (
	hidesHPACK = "does not see the header fields of HTTP/2, which HPACK compresses: an HTTP connection manager takes HTTP/2 too unless its codec_type is HTTP1"
	hidesTLS   = "does not see what is inside TLS: the filter chain has no transport socket that ends it, and the listener expects it"
	hidesBody  = "does not see what is compressed: the HTTP connection manager has a compressor"
)

// masks notes what the masks of a plugin's configuration, which is at path, do not see in the present filter chain.
func (f *file) masks(path string, config *mask.Config) {
	if config.Empty() || config.LengthsOnly { // lengths_only masks what it does not see, too
		return
	}
	for _, what := range f.next.hides {
		f.note(path, what)
	}
}

// hides returns what masks of a plugin in a filter chain do not see, by the last of its filters.
func (f *file) hides(chain, last map[string]any) (hides []string) {
	typeURL, fields := packed(last)
	switch messageName(typeURL) {
	case httpManagerType:
		if takesHTTP2(field(fields, "codec_type", "codecType")) {
			hides = append(hides, hidesHPACK)
		}
		filters, _ := field(fields, "http_filters", "httpFilters").([]any)
		if hasType(filters, compressorType) {
			hides = append(hides, hidesBody)
		}
	case tcpProxyType:
		if f.passesTLS(chain) {
			hides = append(hides, hidesTLS)
		}
	}
	return hides
}

// passesTLS reports whether a filter chain may get TLS that nothing before its filters ends.
func (f *file) passesTLS(chain map[string]any) bool {
	socket, _ := field(chain, "transport_socket", "transportSocket").(map[string]any)
	if typeURL, _ := packed(socket); socket != nil && messageName(typeURL) != rawBufferType {
		return false
	}
	match, _ := field(chain, "filter_chain_match", "filterChainMatch").(map[string]any)
	switch protocol, _ := field(match, "transport_protocol", "transportProtocol").(string); protocol {
	case "tls":
		return true
	case "":
		return f.expectsTLS
	}
	return false
}

// takesHTTP2 reports whether a codec type lets clients speak HTTP/2, or HTTP/3, whose header fields are compressed too.
func takesHTTP2(codec any) bool {
	return !slices.Contains([]string{"HTTP1", "1"}, strings.ToUpper(fmt.Sprint(codec)))
}

// expectsTLS reports whether a listener looks for TLS.
func expectsTLS(listener map[string]any) bool {
	filters, _ := field(listener, "listener_filters", "listenerFilters").([]any)
	return hasType(filters, tlsInspectorType)
}

// hasType reports whether one of several filters has a type.
func hasType(filters []any, messageType string) bool {
	return slices.ContainsFunc(filters, func(each any) bool {
		object, _ := each.(map[string]any)
		typeURL, _ := packed(object)
		return messageName(typeURL) == messageType
	})
}

// packed returns the type of the message in an extension's typed_config, and its fields; empty if there is none.
func packed(extension map[string]any) (typeURL string, fields map[string]any) {
	config, _ := field(extension, "typed_config", "typedConfig").(map[string]any)
	typeURL, fields, _ = envoyapi.Unwrap(config, "")
	return typeURL, fields
}

// field returns the value of a field that may be written in two ways; nil if there is none.
func field(object map[string]any, names ...string) any {
	for _, name := range names {
		if value, ok := object[name]; ok {
			return value
		}
	}
	return nil
}
