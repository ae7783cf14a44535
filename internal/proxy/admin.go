package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"l4dump/internal/envoyapi"
	"l4dump/internal/host"
	"l4dump/internal/origin"
)

// admin is the administration interface: the part of Envoy's that people and the sidecar use.
type admin struct {
	server *Server
	socket net.Listener
	http   *http.Server
}

func (s *Server) listenAdmin() (*admin, error) {
	address := listenAddress(s.config.Bootstrap.GetAdmin().GetAddress(), "", new(envoyapi.Faults))
	socket, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, listenError(err, address, " (admin)", "admin.address.socket_address.port_value", s.config.File)
	}
	a := &admin{server: s, socket: socket}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", a.ready)
	mux.HandleFunc("GET /stats", a.stats)
	mux.HandleFunc("GET /stats/prometheus", a.prometheus)
	mux.HandleFunc("GET /listeners", a.listeners)
	mux.HandleFunc("GET /server_info", a.serverInfo)
	mux.HandleFunc("GET /config_dump", a.configDump)
	mux.HandleFunc("POST /logging", a.logging)
	mux.HandleFunc("POST /quitquitquit", a.quit)
	a.http = &http.Server{Handler: origin.Guard(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	return a, nil
}

// serve ends with close.
func (a *admin) serve() { _ = a.http.Serve(a.socket) }

func (a *admin) close() {
	// The answer to /quitquitquit is on its way.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.http.Shutdown(ctx) != nil {
		_ = a.http.Close()
	}
	_ = a.socket.Close()
}

func text(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	fmt.Fprint(w, s)
}

func (a *admin) state() adminv3.ServerInfo_State {
	select {
	case <-a.server.stopping:
		return adminv3.ServerInfo_DRAINING
	default:
		return adminv3.ServerInfo_LIVE
	}
}

func (a *admin) ready(w http.ResponseWriter, _ *http.Request) {
	if state := a.state(); state != adminv3.ServerInfo_LIVE {
		w.WriteHeader(http.StatusServiceUnavailable)
		text(w, state.String()+"\n")
		return
	}
	text(w, "LIVE\n")
}

func (a *admin) all() []stat {
	vms, failed := a.server.engines.vms()
	a.server.stats.own.Gauge("wasm.wasm_vm_count").Set(uint64(vms))
	a.server.stats.own.Gauge("wasm.wasm_vm_failed").Set(uint64(failed))
	return a.server.stats.all()
}

func (a *admin) stats(w http.ResponseWriter, r *http.Request) {
	filter, err := regexp.Compile(r.FormValue("filter"))
	if err != nil {
		http.Error(w, "Invalid regex: "+err.Error(), http.StatusBadRequest)
		return
	}
	type entry struct {
		Name  string `json:"name"`
		Value uint64 `json:"value"`
	}
	entries := []entry{}
	var lines strings.Builder
	for _, s := range a.all() {
		if filter.MatchString(s.name) {
			entries = append(entries, entry{s.name, s.value})
			fmt.Fprintf(&lines, "%s: %d\n", s.name, s.value)
		}
	}
	if r.FormValue("format") == "json" {
		a.json(w, map[string]any{"stats": entries})
		return
	}
	text(w, lines.String())
}

// collector passes the statistics to Prometheus' library.
type collector []stat

// Describe sends nothing: the statistics are not known beforehand.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c {
		var names, values []string
		if s.label.name != "" {
			names, values = []string{s.label.name}, []string{s.label.value}
		}
		kind := prometheus.CounterValue
		if s.kind == host.Gauge {
			kind = prometheus.GaugeValue
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(metricName(s.metric), "", names, nil), kind, float64(s.value), values...)
	}
}

// metricName replaces what Prometheus does not allow in a name, as Envoy does.
func metricName(name string) string {
	sanitized := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == ':':
			return r
		}
		return '_'
	}, name)
	if sanitized == "" || '0' <= sanitized[0] && sanitized[0] <= '9' {
		sanitized = "_" + sanitized
	}
	return sanitized
}

func (a *admin) prometheus(w http.ResponseWriter, r *http.Request) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector(a.all()))
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
}

func (a *admin) listeners(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("format") == "json" {
		all := new(adminv3.Listeners)
		for _, l := range a.server.Listeners() {
			address := l.Addr.(*net.TCPAddr)
			all.ListenerStatuses = append(all.ListenerStatuses, &adminv3.ListenerStatus{
				Name: l.Name,
				LocalAddress: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
					Address: address.IP.String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(address.Port)},
				}}},
			})
		}
		a.proto(w, all)
		return
	}
	var lines strings.Builder
	for _, l := range a.server.Listeners() {
		fmt.Fprintf(&lines, "%s::%s\n", l.Name, l.Addr)
	}
	text(w, lines.String())
}

func (a *admin) serverInfo(w http.ResponseWriter, _ *http.Request) {
	a.message(w, protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}, &adminv3.ServerInfo{
		Version: a.server.options.Version,
		State:   a.state(),
		Node:    a.server.config.Bootstrap.GetNode(),

		UptimeCurrentEpoch: durationpb.New(a.server.options.Now().Sub(a.server.started).Truncate(time.Second)),
		CommandLineOptions: &adminv3.CommandLineOptions{
			Concurrency: uint32(a.server.options.Concurrency), ConfigPath: a.server.config.File,
		},
	})
}

// configDump shows the file, and what the extension configurations are at present.
func (a *admin) configDump(w http.ResponseWriter, _ *http.Request) {
	dump := new(adminv3.ConfigDump)
	add := func(m proto.Message) error {
		packed, err := anypb.New(m)
		dump.Configs = append(dump.Configs, packed)
		return err
	}
	err := add(&adminv3.BootstrapConfigDump{Bootstrap: a.server.config.Bootstrap, LastUpdated: timestamppb.New(a.server.started)})
	extensions := new(adminv3.EcdsConfigDump)
	for _, watch := range a.server.watches {
		if filter := watch.dump(); filter != nil {
			extensions.EcdsFilters = append(extensions.EcdsFilters, filter)
		}
	}
	if err == nil && len(extensions.EcdsFilters) > 0 {
		err = add(extensions)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.proto(w, dump)
}

// dump returns the present configuration; nil if there is none from the file.
func (d *discovery) dump() *adminv3.EcdsConfigDump_EcdsFilterConfig {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.extension.current.Load()
	if d.last == "" || g == nil {
		return nil
	}
	filter, err := anypb.New(&corev3.TypedExtensionConfig{Name: d.config.name, TypedConfig: g.config.message})
	if err != nil {
		return nil
	}
	return &adminv3.EcdsConfigDump_EcdsFilterConfig{VersionInfo: d.version, EcdsFilter: filter, LastUpdated: timestamppb.New(d.updated)}
}

// logging changes the level of the plugins' log: ?wasm=LEVEL, ?level=LEVEL or ?paths=wasm:LEVEL.
func (a *admin) logging(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name := query.Get("wasm")
	if name == "" {
		name = query.Get("level")
	}
	if name == "" {
		name = strings.TrimPrefix(query.Get("paths"), "wasm:")
	}
	if name != "" {
		level, err := host.ParseLogLevel(name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.server.log.SetLevel(level)
	}
	text(w, fmt.Sprintf("active loggers:\n  wasm: %s\n", a.server.log.Level()))
}

func (a *admin) quit(w http.ResponseWriter, _ *http.Request) {
	text(w, "OK\n")
	a.server.stop()
}

func (a *admin) proto(w http.ResponseWriter, m proto.Message) {
	a.message(w, protojson.MarshalOptions{UseProtoNames: true}, m)
}

func (a *admin) message(w http.ResponseWriter, options protojson.MarshalOptions, m proto.Message) {
	data, err := options.Marshal(m)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.json(w, json.RawMessage(data))
}

// json writes v with the blanks of Envoy; protojson varies its own on purpose.
func (a *admin) json(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	var indented bytes.Buffer
	if err == nil {
		err = json.Indent(&indented, data, "", " ")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "%s\n", indented.Bytes())
}
