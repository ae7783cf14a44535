// Package accept accepts the connections of a listener.
package accept

import (
	"errors"
	"net"
	"time"
)

// The pauses after a failure: the first one, doubled after each further failure up to the last.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// Loop calls serve with each connection until the listener is closed or stop is closed. After a failure it calls failed
// and pauses, since the cause is most likely that file descriptors have run out, and connections that end make room.
// serve must not block.
func Loop(listener net.Listener, stop <-chan struct{}, serve func(net.Conn), failed func(error)) {
	pause := minPause
	for {
		connection, err := listener.Accept()
		if err == nil {
			pause = minPause
			serve(connection)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		failed(err)
		timer := time.NewTimer(pause)
		select {
		case <-stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, maxPause)
	}
}
