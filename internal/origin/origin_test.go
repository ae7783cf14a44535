package origin

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGuard(t *testing.T) {
	for _, row := range []struct {
		name, host, origin string
		want               int
	}{
		{"an address", "127.0.0.1:9901", "", http.StatusNoContent},
		{"an address without a port", "127.0.0.1", "", http.StatusNoContent},
		{"an address of IPv6", "[::1]:9901", "", http.StatusNoContent},
		{"an address of IPv6 without a port", "[::1]", "", http.StatusNoContent},
		{"localhost", "LocalHost:9901", "", http.StatusNoContent},
		{"a name", "evil.example:9901", "", http.StatusForbidden},
		{"a name that ends like one that is allowed", "a.localhost", "", http.StatusForbidden},
		{"a page", "127.0.0.1:9901", "http://evil.example", http.StatusForbidden},
		{"a page of a file", "127.0.0.1:9901", "null", http.StatusForbidden},
		{"a page of this machine", "127.0.0.1:9901", "http://127.0.0.1:9901", http.StatusForbidden},
	} {
		t.Run(row.name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/quitquitquit", http.NoBody)
			request.Host = row.host
			if row.origin != "" {
				request.Header.Set("Origin", row.origin)
			}
			response := httptest.NewRecorder()
			Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })).ServeHTTP(response, request)
			require.Equal(t, row.want, response.Code)
		})
	}
}
