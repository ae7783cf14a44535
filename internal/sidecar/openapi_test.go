package sidecar

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/poll"
	"l4dump/strategy"
)

// operations lists "METHOD path" of the handlers.
func operations(s *Server) []string {
	var list []string
	for _, r := range s.routes() {
		for method := range r.methods {
			list = append(list, method+" "+r.pattern)
		}
	}
	slices.Sort(list)
	return list
}

func TestOpenAPINamesEveryOperation(t *testing.T) {
	c := start(t, nil)
	var documented []string
	for path, item := range apiDocument(t).Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	slices.Sort(documented)
	require.Equal(t, operations(c.server), documented)
}

// The client of every test in this package holds answers against the document; this one is about having them all.
func TestOpenAPIHoldsForEveryOperation(t *testing.T) {
	c := start(t, func(o *Options) {
		o.StrategyFile = o.Dir + "/global.json"
		o.EnvoyAdmin = "http://127.0.0.1:1" // nobody answers: the status says so
	})
	c.poll(poll.Report{Plugin: "l4dump", Reason: "recorded", Strategy: strategy.DefaultStrategy()})
	success := map[string]reply{
		"GET /v1/state":              c.do(http.MethodGet, statePath, ""),
		"GET /v1/strategy/global":    c.do(http.MethodGet, globalPath, ""),
		"PUT /v1/strategy/global":    c.do(http.MethodPut, globalPath, on),
		"POST /v1/portraits/{type}":  c.do(http.MethodPost, portraitPath+"RPC?port=1", `{}`),
		"GET /v1/windows/current":    c.do(http.MethodGet, windowPath, ""),
		"GET /v1/status":             c.do(http.MethodGet, statusPath, ""),
		"GET /v1/openapi.yaml":       c.do(http.MethodGet, openAPIPath, ""),
		"GET /healthz":               c.do(http.MethodGet, healthPath, ""),
		"GET /readyz":                c.do(http.MethodGet, readyPath, ""),
		"GET /metrics":               c.do(http.MethodGet, metricsPath, ""),
		"DELETE /v1/strategy/global": c.do(http.MethodDelete, globalPath, ""),
	}
	var names []string
	for name, r := range success {
		require.Contains(t, []int{http.StatusOK, http.StatusCreated}, r.status, "%s: %s", name, r.body)
		names = append(names, name)
	}
	slices.Sort(names)
	require.Equal(t, operations(c.server), names)
	require.Equal(t, string(openAPI), success["GET /v1/openapi.yaml"].body)
}

func TestOpenAPIDetectsAWrongAnswer(t *testing.T) {
	doc := apiDocument(t)
	schema := doc.Components.Schemas["Problem"].Value
	good := map[string]any{"type": "about:blank", "title": "Conflict", "status": 409.0, "detail": "", "reason": "duplicate"}
	require.NoError(t, schema.VisitJSON(good))
	good["reason"] = "invented"
	require.Error(t, schema.VisitJSON(good))
}

// The reasons that handlers and package strategy know are the ones of the document.
func TestOpenAPINamesEveryReason(t *testing.T) {
	enum := func(name string) []string {
		var list []string
		for _, v := range apiDocument(t).Components.Schemas[name].Value.Enum {
			list = append(list, v.(string))
		}
		return list
	}
	var lasting []string
	for r := range strategy.Reasons {
		if r == strategy.Recorded || r.Lasting() {
			lasting = append(lasting, r.String())
		}
	}
	require.ElementsMatch(t, lasting, enum("Reason"))

	own := []string{
		ReasonNotFound, ReasonMethod, ReasonUnknownType, ReasonPort, ReasonInvalidJSON, ReasonInvalid, ReasonTooLarge,
		ReasonBody, ReasonDuplicate, ReasonNotWritten, ReasonBusy, ReasonCrossOrigin, ReasonHost, ReasonUnauthorized,
		ReasonInternal,
	}
	var documented []string
	for _, v := range apiDocument(t).Components.Schemas["Problem"].Value.Properties["reason"].Value.Enum {
		documented = append(documented, v.(string))
	}
	require.ElementsMatch(t, append(own, lasting[1:]...), documented)
}

func TestUnknownPathsAndMethods(t *testing.T) {
	c := start(t, nil)
	tests := []struct {
		name, method, path string
		status             int
		reason, allow      string
	}{
		{"root", http.MethodGet, "/", http.StatusNotFound, ReasonNotFound, ""},
		{"next version", http.MethodGet, "/v2/state", http.StatusNotFound, ReasonNotFound, ""},
		{"below a path", http.MethodGet, "/v1/state/x", http.StatusNotFound, ReasonNotFound, ""},
		{"method of state", http.MethodPost, statePath, http.StatusMethodNotAllowed, ReasonMethod, "GET"},
		{"method of strategy", http.MethodPatch, globalPath, http.StatusMethodNotAllowed, ReasonMethod, "DELETE, GET, PUT"},
		{"method of portraits", http.MethodGet, portraitPath + "RPC", http.StatusMethodNotAllowed, ReasonMethod, "POST"},
		{"invented method", "BREW", statePath, http.StatusMethodNotAllowed, ReasonMethod, "GET"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r := c.do(tc.method, tc.path, "")
			require.Equal(t, tc.reason, problem(t, tc.status, r))
			require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
			require.Equal(t, tc.allow, r.header.Get("Allow"))
		})
	}
}
