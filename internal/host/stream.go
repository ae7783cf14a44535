package host

import "sync/atomic"

// Connection is what a stream knows of its connection; it must not change while the stream lives.
type Connection struct {
	ID                 uint64
	SourceAddress      string // host:port
	SourcePort         int64
	DestinationAddress string // host:port
	DestinationPort    int64
}

// Upstream is the host that a connection was passed on to.
type Upstream struct {
	Cluster string
	Address string // host:port, or the path of a pipe
	Port    int64
}

// Stream is the context of one connection in the VM of its worker. A stream whose VM failed passes everything on or
// closes, by the failure policy of its plugin. Its methods may be called by several goroutines at once.
type Stream struct {
	guestContext
	connection *Connection
	bypassed   bool // the VM had failed before this stream began

	downstream, upstream []byte // what the present callback may read
	peer                 atomic.Pointer[Upstream]
	created              bool
	ended                bool
}

func (r *root) newStream(connection *Connection) (*Stream, bool) {
	vm := r.vm
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if r.released {
		return nil, false
	}
	s := &Stream{connection: connection}
	s.guestContext = guestContext{vm: vm, root: r, stream: s}
	r.streams++
	if vm.failed != nil {
		s.bypassed = r.filter.plugin.FailurePolicy != FailClosed
		return s, true
	}
	s.id = vm.newID()
	s.prefix = r.filter.plugin.streamPrefix(vm.engine.config.ID)
	vm.contexts[s.id] = &s.guestContext
	return s, true
}

// SetUpstream tells which host the connection was passed on to: the properties upstream.address,
// upstream.port and xds.cluster_name.
func (s *Stream) SetUpstream(upstream *Upstream) { s.peer.Store(upstream) }

// NewConnection tells the plugin of the connection. It comes first.
func (s *Stream) NewConnection() Action {
	vm := s.vm
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.failed == nil {
		s.created = true
		if create := vm.exports.contextCreate; create != nil {
			vm.notify(&s.guestContext, create, "proxy_on_context_create", uint64(s.id), uint64(s.root.id))
		}
	}
	if connect := vm.exports.newConnection; connect != nil && vm.failed == nil {
		pause, _ := vm.invoke(&s.guestContext, connect, "proxy_on_new_connection", uint64(s.id))
		s.refusePause("proxy_on_new_connection", pause)
	}
	return s.action()
}

// DownstreamData tells the plugin what the client sent, before it is passed on. data may be reused as soon as the call
// returns. end says that the client sends no more.
func (s *Stream) DownstreamData(data []byte, end bool) Action {
	vm := s.vm
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if f := vm.exports.downstreamData; f != nil && s.live() {
		s.downstream = data
		pause, _ := vm.invoke(&s.guestContext, f, "proxy_on_downstream_data", uint64(s.id), uint64(len(data)), flag(end))
		s.downstream = nil
		s.refusePause("proxy_on_downstream_data", pause)
	}
	return s.action()
}

// UpstreamData tells the plugin what the service sent; see DownstreamData. The end also is the close of the upstream
// connection: Envoy's filter sees no other sign of it.
func (s *Stream) UpstreamData(data []byte, end bool) Action {
	vm := s.vm
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if f := vm.exports.upstreamData; f != nil && s.live() {
		s.upstream = data
		pause, _ := vm.invoke(&s.guestContext, f, "proxy_on_upstream_data", uint64(s.id), uint64(len(data)), flag(end))
		s.upstream = nil
		s.refusePause("proxy_on_upstream_data", pause)
	}
	if f := vm.exports.upstreamClose; end && f != nil && s.live() {
		vm.notify(&s.guestContext, f, "proxy_on_upstream_connection_close", uint64(s.id), uint64(CloseUnknown))
	}
	return s.action()
}

// DownstreamClose ends the stream: proxy_on_downstream_connection_close, proxy_on_done, proxy_on_log, proxy_on_delete.
// Later calls do nothing.
func (s *Stream) DownstreamClose(by CloseType) {
	vm := s.vm
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if s.ended {
		return
	}
	if f := vm.exports.downstreamClose; f != nil && s.live() {
		vm.notify(&s.guestContext, f, "proxy_on_downstream_connection_close", uint64(s.id), uint64(by))
	}
	if s.created {
		vm.done(&s.guestContext) // a stream cannot ask to wait
		if f := vm.exports.log; f != nil && vm.failed == nil {
			vm.notify(&s.guestContext, f, "proxy_on_log", uint64(s.id))
		}
		vm.delete(&s.guestContext)
	}
	s.ended = true
	delete(vm.contexts, s.id)
	s.root.streams--
	s.root.finishIfIdle()
}

// live says whether the plugin may be called for the stream.
func (s *Stream) live() bool { return s.vm.failed == nil && s.created && !s.ended }

func (s *Stream) action() Action {
	if s.vm.failed == nil || s.bypassed || s.root.filter.plugin.FailurePolicy == FailOpenLive {
		return Continue
	}
	return Close
}

// refusePause says once that a plugin cannot pause here: a filter that only observes never does.
func (s *Stream) refusePause(callback string, pause uint64) {
	if uint32(pause) == 0 || s.vm.failed != nil || s.vm.pauseRefused {
		return
	}
	s.vm.pauseRefused = true
	log := s.vm.engine.options.Log
	log.printf(LevelError, log.thread+s.vm.thread, "wasm", failureSource,
		"Function: %s asked to pause: not supported by the embedded engine, the data is passed on", callback)
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
