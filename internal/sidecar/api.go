package sidecar

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"l4dump/internal/fault"
	"l4dump/internal/poll"
	"l4dump/strategy"
)

// The paths of the API.
const (
	statePath    = poll.StatePath
	globalPath   = "/v1/strategy/global"
	portraitPath = "/v1/portraits/"
	windowPath   = "/v1/windows/current"
	statusPath   = "/v1/status"
	openAPIPath  = "/v1/openapi.yaml"
	healthPath   = "/healthz"
	readyPath    = "/readyz"
	metricsPath  = "/metrics"
)

//go:embed openapi.yaml
var openAPI []byte

// route is one path with its methods.
type route struct {
	pattern string // of http.ServeMux
	methods map[string]http.HandlerFunc
}

// routes are the whole API.
func (s *Server) routes() []route {
	get := func(pattern string, h http.HandlerFunc) route {
		return route{pattern: pattern, methods: map[string]http.HandlerFunc{http.MethodGet: h}}
	}
	metrics := promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2})
	return []route{
		get(statePath, s.getState),
		{globalPath, map[string]http.HandlerFunc{
			http.MethodGet: s.getGlobal, http.MethodPut: s.putGlobal, http.MethodDelete: s.deleteGlobal,
		}},
		{portraitPath + "{type}", map[string]http.HandlerFunc{http.MethodPost: s.postPortrait}},
		get(windowPath, s.getWindow),
		get(statusPath, s.getStatus),
		get(openAPIPath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/yaml")
			_, _ = w.Write(openAPI)
		}),
		get(healthPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]string{"status": "ok"}) }),
		get(readyPath, s.getReady),
		get(metricsPath, metrics.ServeHTTP),
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, s.dispatch(r))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.metrics.answered("other", methodLabel(r.Method), http.StatusNotFound)
		newProblem(http.StatusNotFound, ReasonNotFound, "there is nothing at this path; "+openAPIPath+" describes what there is").write(w)
	})
	return mux
}

// dispatch answers by method and counts.
func (s *Server) dispatch(route route) http.HandlerFunc {
	allowed := make([]string, 0, len(route.methods))
	for m := range route.methods {
		allowed = append(allowed, m)
	}
	slices.Sort(allowed)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		counted := &codeWriter{ResponseWriter: w, code: http.StatusOK}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // net/http leaves the body out
		}
		if handle := route.methods[method]; handle != nil {
			handle(counted, r)
		} else {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			newProblem(http.StatusMethodNotAllowed, ReasonMethod, "want "+strings.Join(allowed, " or ")).write(counted)
		}
		s.metrics.answered(route.pattern, methodLabel(r.Method), counted.code)
	}
}

// methodLabel keeps what clients invent out of the metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete:
		return method
	}
	return "other"
}

// codeWriter remembers the status.
type codeWriter struct {
	http.ResponseWriter
	code int
}

func (w *codeWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (w *codeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answer writes body as JSON.
func answer(w http.ResponseWriter, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		newProblem(http.StatusInternalServerError, ReasonInternal, "the answer could not be written").write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the client is gone
}

// getState is the plugin's poll.
func (s *Server) getState(w http.ResponseWriter, r *http.Request) {
	if text := r.Header.Get(poll.ReportHeader); text != "" {
		s.takeReport(text, r.Header.Get(poll.TotalsHeader))
	}
	v := s.view()
	tag, err := v.etag()
	if err != nil {
		newProblem(http.StatusInternalServerError, ReasonInternal, "the state could not be written").write(w)
		return
	}
	w.Header().Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	answer(w, v.state())
}

// takeReport remembers what the plugin tells, as far as it can be read. What cannot is counted, and the plugin has its
// answer anyway: the report may be of another version.
func (s *Server) takeReport(text, totals string) {
	list, err := readReport(text)
	if totals != "" {
		if read, e := readTotals(totals); e != nil {
			err = errors.Join(err, e)
		} else {
			s.reports.putTotals(s.options.Now(), read)
		}
	}
	if !s.reports.put(s.options.Now(), list) {
		err = fmt.Errorf("remember reports: want at most %d in all", maxReports)
	}
	if err != nil {
		s.metrics.badReports.Inc()
	}
	s.badReport.report(err)
}

func readReport(text string) ([]poll.Report, error) {
	if len(text) > poll.MaxReportBytes {
		return nil, fmt.Errorf("parse report: want at most %d bytes, got %d", poll.MaxReportBytes, len(text))
	}
	list, err := poll.ParseReports([]byte(text))
	if err != nil {
		return list, fmt.Errorf("parse report: %w", err)
	}
	return list, nil
}

func readTotals(text string) (poll.Totals, error) {
	if len(text) > poll.MaxTotalsBytes {
		return poll.Totals{}, fmt.Errorf("parse totals: want at most %d bytes, got %d", poll.MaxTotalsBytes, len(text))
	}
	totals, err := poll.ParseTotals([]byte(text))
	if err != nil {
		return totals, fmt.Errorf("parse totals: %w", err)
	}
	return totals, nil
}

func (s *Server) getGlobal(w http.ResponseWriter, _ *http.Request) {
	answer(w, s.view().globalMessage())
}

func (s *Server) putGlobal(w http.ResponseWriter, r *http.Request) {
	release, problem := s.strategySlots.take("strategies")
	if problem != nil {
		problem.write(w)
		return
	}
	defer release()
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, strategy.MaxConfigBytes))
	if err != nil {
		bodyProblem(err, strategy.MaxConfigBytes).write(w)
		return
	}
	global, err := strategy.ParseStrategy(text, true)
	if err != nil {
		problem := newProblem(http.StatusBadRequest, ReasonInvalid, "the strategy is not valid; the one before stays")
		var faults fault.Faults
		if errors.As(err, &faults) {
			problem.Faults = faults
		}
		problem.write(w)
		return
	}
	release() // it is for bodies, not for the disk
	s.setGlobal(w, r, (*Strategy)(&global))
}

func (s *Server) deleteGlobal(w http.ResponseWriter, r *http.Request) { s.setGlobal(w, r, nil) }

// setGlobal sets the strategy, which is in force at once, and waits for the disk, but not for long.
func (s *Server) setGlobal(w http.ResponseWriter, r *http.Request, global *Strategy) {
	record, change := s.store.set(global, writtenByAPI)
	if global == nil {
		s.log.Info("global strategy removed", "by", writtenByAPI)
	} else {
		s.log.Info("global strategy set", "by", writtenByAPI, "switch", string(global.Switch))
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.options.limits.persist)
	defer cancel()
	saved, err := s.store.await(ctx, change)
	if errors.Is(err, context.DeadlineExceeded) {
		s.stateWritten(fmt.Errorf("write state file: the disk has not answered for %v", s.options.limits.persist))
	}
	answer(w, view{global: record, persisted: saved}.globalMessage())
}

func (s *Server) getWindow(w http.ResponseWriter, _ *http.Request) {
	v := s.view()
	answer(w, CurrentWindow{
		Window: v.message(), Recording: v.recording(), Reason: v.reason.String(), Portraits: s.portraits.types(v.windowID()),
	})
}

func (s *Server) postPortrait(w http.ResponseWriter, r *http.Request) {
	businessType := r.PathValue("type")
	if !slices.Contains(businessTypes[:], businessType) {
		s.metrics.portraits.WithLabelValues("other", ReasonUnknownType).Inc()
		newProblem(http.StatusNotFound, ReasonUnknownType, "want RPC, CONFIGURATION or STATE as the type").write(w)
		return
	}
	portrait, problem := s.takePortrait(w, r, businessType)
	if problem != nil {
		s.metrics.portraits.WithLabelValues(businessType, problem.Reason).Inc()
		problem.write(w)
		return
	}
	s.metrics.portraits.WithLabelValues(businessType, "written").Inc()
	if s.dumper != nil {
		s.dumper.request(portrait.Window)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	answer(w, portrait)
}

func (s *Server) takePortrait(w http.ResponseWriter, r *http.Request, businessType string) (Portrait, *Problem) {
	release, problem := s.portraitSlots.take("portraits")
	if problem != nil {
		return Portrait{}, problem
	}
	defer release()
	port, problem := portOf(r)
	if problem != nil {
		return Portrait{}, problem
	}
	if v := s.view(); !v.recording() { // before a body is read for nothing
		return Portrait{}, refused(v)
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxPortraitBytes))
	if err != nil {
		return Portrait{}, bodyProblem(err, s.options.MaxPortraitBytes)
	}
	line, err := compactJSON(text)
	if err != nil {
		return Portrait{}, newProblem(http.StatusBadRequest, ReasonInvalidJSON, err.Error())
	}
	v := s.view()
	if !v.recording() {
		return Portrait{}, refused(v)
	}
	return s.portraits.accept(v, businessType, port, line)
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	v := s.view()
	status := Status{
		Version: poll.StateVersion, Time: v.now.UTC().Round(0), Recording: v.anyRecords(), Reason: v.reason.String(),
		Why: explain(v), Warnings: s.warnings(v), Usage: v.usage.message(v.now), Strategy: Strategy(v.strategy), Window: v.message(),
		Global: v.globalMessage(), Plugins: v.pluginMessages(), Totals: s.reports.freshTotals(v.now), Files: FilesStatus{Dir: s.options.Dir},
	}
	if s.file != nil {
		file := s.file.get()
		status.StrategyFile = &file
	}
	if s.admin != nil {
		status.Envoy = s.envoyStatus(r.Context())
	}
	total, err := s.files.health()
	status.Files.Bytes = total
	if err != nil {
		status.Files.Error = err.Error()
	}
	answer(w, status)
}

func (s *Server) envoyStatus(ctx context.Context) *EnvoyStatus {
	counters, err := s.admin.counters(ctx)
	if err != nil {
		return &EnvoyStatus{Counters: map[string]uint64{}, Error: err.Error()}
	}
	return &EnvoyStatus{Counters: counters}
}

// Ready is the answer to GET /readyz. A sidecar that answers is ready, whatever is wrong with it: a container that is not
// ready would take its whole pod out of service.
type Ready struct {
	Status  string   `json:"status"`  // "ready" or "degraded"
	Details []string `json:"details"` // what is wrong
}

func (s *Server) getReady(w http.ResponseWriter, _ *http.Request) {
	ready := Ready{Status: "ready", Details: []string{}}
	v := s.view()
	if !v.usage.fresh(v.now, s.options.UsageStaleAfter) {
		ready.Details = append(ready.Details, "usage: there is no fresh reading of CPU and memory")
	}
	if _, err := s.files.health(); err != nil {
		ready.Details = append(ready.Details, "files: "+err.Error())
	}
	if !v.persisted {
		ready.Details = append(ready.Details, "strategy: it is in force, but is not written to the state file")
	}
	if s.file != nil {
		if status := s.file.get(); status.Present && !status.Valid {
			ready.Details = append(ready.Details, "strategy file: it is not valid")
		}
	}
	if len(ready.Details) > 0 {
		ready.Status = "degraded"
	}
	answer(w, ready)
}

// weakTag returns an entity tag for text.
func weakTag(text []byte) string {
	sum := sha256.Sum256(text)
	return `W/"` + hex.EncodeToString(sum[:12]) + `"`
}

// matches compares the tags of an If-None-Match header weakly with tag (RFC 9110, section 13.1.2).
func matches(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
