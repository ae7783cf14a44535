package host

// A status is what a hostcall returns to the guest: WasmResult of proxy-wasm 0.2.1.
type status uint32

const (
	statusOK                  status = 0
	statusNotFound            status = 1
	statusBadArgument         status = 2
	statusInvalidMemoryAccess status = 6
	statusCASMismatch         status = 8
	statusInternalFailure     status = 10
	statusUnimplemented       status = 12
)

// The types of the buffers that a network filter can read.
const (
	bufferDownstreamData       = 2
	bufferUpstreamData         = 3
	bufferHTTPCallResponseBody = 4
	bufferVMConfiguration      = 6
	bufferPluginConfiguration  = 7
	bufferMax                  = 8
)

// The types of the header maps that a network filter can read.
const (
	mapHTTPCallResponseHeaders  = 6
	mapHTTPCallResponseTrailers = 7
	mapMax                      = 7
)

// Action is what a callback of a stream asks the proxy to do.
type Action int

const (
	// Continue passes the data on.
	Continue Action = iota
	// Close ends the connection: the plugin failed, and its policy is not to let traffic through.
	Close
)

// CloseType tells who closed a connection.
type CloseType uint32

const (
	// CloseUnknown is the only type that an upstream connection has, as in Envoy.
	CloseUnknown CloseType = 0
	// CloseLocal is a close by the proxy.
	CloseLocal CloseType = 1
	// CloseRemote is a close by the peer.
	CloseRemote CloseType = 2
)
