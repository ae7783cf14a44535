package proxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"l4dump/internal/host"
)

// The limits of a response to a plugin, in bytes. A response with a longer body is cut off.
const (
	maxResponseHeader = 60 << 10
	maxResponseBody   = 1 << 20
)

// httpClient makes the HTTP calls of the plugins, by HTTP/1.1 over TCP or a Unix socket.
type httpClient struct {
	clusters map[string]*cluster
}

// Endpoints implements host.HTTPClient.
func (c httpClient) Endpoints(name string) (int, bool) {
	cluster, ok := c.clusters[name]
	if !ok {
		return 0, false
	}
	return len(cluster.config.endpoints), true
}

// Call implements host.HTTPClient.
func (c httpClient) Call(ctx context.Context, r *host.HTTPRequest) *host.HTTPResponse {
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	request := (&http.Request{
		Method: r.Method,
		URL:    &url.URL{Scheme: "http", Host: r.Authority, Opaque: r.Path},
		Host:   r.Authority,
		// Without this, net/http names itself.
		Header: http.Header{"User-Agent": nil},
		Body:   http.NoBody,
	}).WithContext(ctx)
	if len(r.Body) > 0 {
		// A kept connection may turn out to be closed: then the request is sent again on a new one.
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
		request.Body, _ = request.GetBody()
		request.ContentLength = int64(len(r.Body))
	}
	for _, h := range r.Headers {
		request.Header.Add(h.Name, h.Value)
	}
	response, err := c.clusters[r.Cluster].transport.RoundTrip(request)
	if err != nil {
		return failedResponse(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBody+1))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return failedResponse(err)
	case err != nil || len(body) > maxResponseBody:
		return nil
	}
	return &host.HTTPResponse{
		Headers:  append([]host.Header{{Name: ":status", Value: strconv.Itoa(response.StatusCode)}}, headers(response.Header)...),
		Body:     body,
		Trailers: headers(response.Trailer),
	}
}

// headers returns h in lower case, in the order of the names.
func headers(h http.Header) []host.Header {
	var list []host.Header
	for name, values := range h {
		for _, value := range values {
			list = append(list, host.Header{Name: strings.ToLower(name), Value: value})
		}
	}
	slices.SortStableFunc(list, func(a, b host.Header) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// failedResponse is the response that Envoy makes up when it gets none.
func failedResponse(err error) *host.HTTPResponse {
	const reset = "upstream connect error or disconnect/reset before headers. reset reason: "
	status, body := "502", reset+"protocol error"
	var operation *net.OpError
	switch timeout, _ := errors.AsType[net.Error](err); {
	case errors.As(err, &operation) && operation.Op == "dial" && !errors.Is(err, context.DeadlineExceeded):
		status, body = "503", reset+"remote connection failure"
		if timeout != nil && timeout.Timeout() {
			body = reset + "connection timeout"
		}
	case errors.Is(err, context.DeadlineExceeded):
		status, body = "504", "upstream request timeout"
	case errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		status, body = "503", reset+"connection termination"
	}
	return &host.HTTPResponse{
		Headers: []host.Header{
			{Name: ":status", Value: status},
			{Name: "content-length", Value: strconv.Itoa(len(body))},
			{Name: "content-type", Value: "text/plain"},
		},
		Body: []byte(body),
	}
}
