package host

import (
	"sync/atomic"
)

// Filter is one plugin configuration in every VM of its engine. It may be used by several goroutines at once.
type Filter struct {
	engine     *Engine
	plugin     *Plugin
	roots      []*root // of the workers, then of the main thread
	unfinished atomic.Int32
	done       chan struct{}
}

// Plugin returns the configuration. It must not be changed.
func (f *Filter) Plugin() *Plugin { return f.plugin }

// NewStream returns the stream of a connection that belongs to a worker, or false if the filter was released: the caller
// then takes the filter that came after it.
func (f *Filter) NewStream(worker int, connection *Connection) (*Stream, bool) {
	return f.roots[worker].newStream(connection)
}

// Release says that no more streams come. In each VM the root context continues to tick until its last stream has ended,
// and then gets proxy_on_done and proxy_on_delete.
func (f *Filter) Release() {
	for _, r := range f.roots {
		r.release()
	}
}

// Done is closed when every root context has ended after Release.
func (f *Filter) Done() <-chan struct{} { return f.done }

func (f *Filter) rootFinished() {
	if f.unfinished.Add(-1) == 0 {
		close(f.done)
	}
}
