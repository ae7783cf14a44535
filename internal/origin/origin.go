// Package origin tells requests of programs from those that a page in a browser on this machine may have made.
package origin

import (
	"net"
	"net/http"
	"strings"
)

// FromPage reports whether a page made the request, if the browser says so: with an Origin header, which it sends with
// every request that can change something.
func FromPage(r *http.Request) bool { return r.Header.Get("Origin") != "" }

// IsAddress reports whether host, with or without a port, is an IP address or localhost. Whoever owns a name can make it
// lead here, so that a page of that name may read what this machine answers.
func IsAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil
}

// Guard answers requests that a page may have made with 403, and passes the others to handler.
func Guard(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case FromPage(r):
			http.Error(w, "requests with an Origin header are refused", http.StatusForbidden)
		case !IsAddress(r.Host):
			http.Error(w, "want an IP address or localhost as the host", http.StatusForbidden)
		default:
			handler.ServeHTTP(w, r)
		}
	})
}
