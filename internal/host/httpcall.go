package host

import (
	"context"
	"encoding/binary"
	"strings"
	"time"
)

// maxCalls bounds the HTTP calls under way of one root context.
const maxCalls = 1024

// HTTPClient makes the calls of proxy_http_call.
type HTTPClient interface {
	// Endpoints returns how many hosts a cluster has, and false if there is no such cluster.
	Endpoints(cluster string) (n int, ok bool)
	// Call sends a request and returns its response; what went wrong on the way is a response too, as in Envoy, and nil is a
	// response that was cut off. It ends when ctx does.
	Call(ctx context.Context, request *HTTPRequest) *HTTPResponse
}

// Header is one name and value. Names are in lower case; the names of pseudo headers begin with a colon.
type Header struct{ Name, Value string }

// HTTPRequest is a request to a cluster.
type HTTPRequest struct {
	Cluster, Method, Authority, Path string
	Headers                          []Header // without pseudo headers
	Body                             []byte
	Timeout                          time.Duration // 0: none
}

// HTTPResponse is a response: Headers begins with :status.
type HTTPResponse struct {
	Headers  []Header
	Body     []byte
	Trailers []Header
}

func (vm *VM) httpCall(cluster string, headers []Header, body []byte, timeout int32) (uint32, status) {
	client := vm.engine.options.HTTP
	if timeout < 0 || client == nil {
		return 0, statusBadArgument
	}
	endpoints, ok := client.Endpoints(cluster)
	if !ok {
		return 0, statusBadArgument
	}
	request := &HTTPRequest{Cluster: cluster, Body: append([]byte(nil), body...), Timeout: time.Duration(timeout) * time.Millisecond}
	for _, h := range headers {
		switch h.Name = strings.ToLower(h.Name); h.Name {
		case ":method":
			request.Method = h.Value
		case ":path":
			request.Path = h.Value
		case ":authority", "host":
			request.Authority = h.Value
		default:
			if !strings.HasPrefix(h.Name, ":") {
				request.Headers = append(request.Headers, h)
			}
		}
	}
	if request.Method == "" || request.Path == "" || request.Authority == "" {
		return 0, statusBadArgument
	}
	r := vm.current.root
	if endpoints == 0 || r == nil || r.deleted || r.calls >= maxCalls {
		return 0, statusInternalFailure
	}
	vm.nextToken += 4 // Envoy's tokens of HTTP calls are multiples of 4
	token := vm.nextToken
	r.calls++
	vm.engine.tasks.Go(func() {
		response := client.Call(vm.ctx, request)
		vm.mu.Lock()
		defer vm.mu.Unlock()
		r.calls--
		r.respond(token, response)
	})
	return token, statusOK
}

// respond runs proxy_on_http_call_response. A cut off response has neither headers nor body.
func (r *root) respond(token uint32, response *HTTPResponse) {
	vm := r.vm
	if r.deleted || vm.closed || vm.failed != nil || vm.exports.httpCallResponse == nil {
		return
	}
	var headers, body, trailers uint64
	if response != nil {
		headers, body, trailers = uint64(len(response.Headers)), uint64(len(response.Body)), uint64(len(response.Trailers))
	}
	r.response = response
	vm.notify(&r.guestContext, vm.exports.httpCallResponse, "proxy_on_http_call_response",
		uint64(r.id), uint64(token), headers, body, trailers)
	r.response = nil
}

// appendPairs appends headers in the form of proxy-wasm, all integers little endian:
//
//	[count uint32] count × [name length uint32][value length uint32] count × [name][0][value][0]
//
// Without headers nothing is appended.
func appendPairs(dst []byte, headers []Header) []byte {
	if len(headers) == 0 {
		return dst
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(headers)))
	for _, h := range headers {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(h.Name)))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(h.Value)))
	}
	for _, h := range headers {
		dst = append(append(dst, h.Name...), 0)
		dst = append(append(dst, h.Value...), 0)
	}
	return dst
}

// parsePairs reads what appendPairs writes. Whatever is not of that form holds no header, as in Envoy.
func parsePairs(b []byte) []Header {
	if len(b) < 4 {
		return nil
	}
	count := int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if count > len(b)/8 {
		return nil
	}
	sizes, text := b[:8*count], b[8*count:]
	take := func(size []byte) (string, bool) {
		n := uint64(binary.LittleEndian.Uint32(size))
		if n >= uint64(len(text)) || text[n] != 0 {
			return "", false
		}
		s := string(text[:n])
		text = text[n+1:]
		return s, true
	}
	headers := make([]Header, count)
	for i := range headers {
		var okName, okValue bool
		headers[i].Name, okName = take(sizes[8*i:])
		headers[i].Value, okValue = take(sizes[8*i+4:])
		if !okName || !okValue {
			return nil
		}
	}
	return headers
}
