package sidecar

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"l4dump/internal/origin"
)

// The bounds of a bearer token.
const (
	minTokenBytes = 16
	maxTokenBytes = 4096
)

const maxPEMBytes = 1 << 20

// access is what a client must show.
type access struct {
	tls   *tls.Config       // nil if no listener has TLS
	token [sha256.Size]byte // of the bearer token
	want  bool              // a token
}

// newAccess reads the files that the options name.
func newAccess(o Options) (access, error) {
	var a access
	if o.TokenFile != "" {
		token, err := ReadToken(o.TokenFile)
		if err != nil {
			return access{}, err
		}
		a.token, a.want = sha256.Sum256([]byte(token)), true
	}
	if o.TLSCert == "" {
		return a, nil
	}
	cert, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
	if err != nil {
		return access{}, fmt.Errorf("read TLS certificate: %w", err)
	}
	a.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	if o.ClientCA != "" {
		if a.tls.ClientCAs, err = readPool(o.ClientCA); err != nil {
			return access{}, fmt.Errorf("read client CA: %w", err)
		}
		a.tls.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return a, nil
}

// ReadToken reads a bearer token from a file; white space around it does not count.
func ReadToken(path string) (string, error) {
	text, err := readFileLimited(path, maxTokenBytes)
	if err != nil {
		return "", fmt.Errorf("read token file: %w", err)
	}
	text = bytes.TrimSpace(text)
	if len(text) < minTokenBytes {
		return "", fmt.Errorf("read token file %s: want at least %d bytes", path, minTokenBytes)
	}
	if bytes.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("read token file %s: want printable ASCII without spaces", path)
	}
	return string(text), nil
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := readFileLimited(path, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("want certificates in PEM")
	}
	return pool, nil
}

// guard refuses what must not reach handler through e: too many requests at a time, pages in a browser, and clients
// without the token.
func (s *Server) guard(e Endpoint, a access, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem := refuseBrowser(e, r)
		if problem == nil {
			problem = a.check(e, r)
		}
		var release func()
		if problem == nil {
			release, problem = s.slots.take("requests")
		}
		if problem == nil {
			defer release()
			handler.ServeHTTP(w, r)
			return
		}
		s.metrics.rejected.WithLabelValues(problem.Reason).Inc()
		w.Header().Set("Connection", "close") // a refused client keeps no connection
		problem.write(w)
	})
}

// refuseBrowser refuses requests that a page in a browser on this machine may have made: with an Origin header, or, if
// a name that an attacker owns could be made to resolve to this address, with a host that is not an address.
func refuseBrowser(e Endpoint, r *http.Request) *Problem {
	if origin.FromPage(r) {
		return newProblem(http.StatusForbidden, ReasonCrossOrigin, "requests with an Origin header are refused")
	}
	if e.Network == "tcp" && !e.TLS && !origin.IsAddress(r.Host) {
		return newProblem(http.StatusForbidden, ReasonHost, "want an IP address or localhost as the host")
	}
	return nil
}

// check compares the bearer token if one is required: with TLS for everything but health, on loopback for what
// changes something, since the plugin's polls carry none. A Unix socket has its mode.
func (a access) check(e Endpoint, r *http.Request) *Problem {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	health := reads && (r.URL.Path == healthPath || r.URL.Path == readyPath)
	if !a.want || e.Network == "unix" || health || (!e.TLS && reads) {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(token))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1 {
		return nil
	}
	return newProblem(http.StatusUnauthorized, ReasonUnauthorized, "want the bearer token")
}
