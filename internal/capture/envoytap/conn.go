package envoytap

import (
	"container/list"
	"math"
	"net"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tapv3 "github.com/envoyproxy/go-control-plane/envoy/data/tap/v3"
	"google.golang.org/protobuf/types/known/timestamppb"

	"l4dump/internal/capture"
)

// conn is one connection in a tap.
type conn struct {
	trace   uint64 // Envoy's number of it
	element *list.Element
	id      capture.ID
	seq     uint64            // of the next event
	time    int64             // of the last event
	peers   [2]peer           // by the capture.Direction in which they send
	known   bool              // they are, and tell which one is the client
	reads   capture.Direction // of what the tap calls read
	streams [2]stream

	announced bool // its beginning is there
	late      bool // its beginning is missing
	begun     bool // its open event has been given
	closes    bool // it closes when no more of it comes
	half      bool // a write said that the stream ends

	expect    uint64            // seq_num of the next event, which counts the bytes of both directions from 1; 0: not known
	truncated bool              // the last event's bytes were cut
	replaced  bool              // some of them may stand for others, and not as many
	last      capture.Direction // of them
	damages   int               // tracker.damages at the last event: if there were more since, something may be missing
}

// peer is one end of a connection.
type peer struct {
	address string
	port    uint16
}

// stream is one direction of a conn.
type stream struct {
	offset uint64 // of the next byte
	cut    bool   // bytes may be missing
}

// learnPeers takes the addresses of a connection, the first time.
func (c *conn) learnPeers(p *tapv3.Connection) {
	if p == nil || c.known || c.begun {
		return
	}
	local, remote := peerOf(p.GetLocalAddress()), peerOf(p.GetRemoteAddress())
	c.peers, c.reads = [2]peer{remote, local}, capture.Downstream
	var upstream bool
	if upstream, c.known = isUpstream(local, remote); upstream {
		c.peers, c.reads = [2]peer{local, remote}, capture.Upstream
	}
}

// learnTime takes when an event was, if that is a time since the Unix epoch that fits into nanoseconds.
func (c *conn) learnTime(at *timestamppb.Timestamp) {
	if seconds := at.GetSeconds(); at.IsValid() && 0 <= seconds && seconds < math.MaxInt64/int64(time.Second) {
		c.time = at.AsTime().UnixNano()
	}
}

// isUpstream reports whether a tap stands between the proxy and the service, where the proxy is the client: a tap does not
// say it. There, Envoy does not know its own address yet when a streamed trace begins; else the client is the peer with one
// of the ports that systems give to clients. known is false if that is a guess.
func isUpstream(local, remote peer) (upstream, known bool) {
	ephemeral := func(p peer) bool { return 32768 <= p.port && p.port <= 60999 } // Linux's ip_local_port_range, by default
	switch {
	case remote.address == "":
		return false, false
	case local.address == "":
		return true, true
	case ephemeral(local) != ephemeral(remote):
		return ephemeral(local), true
	case ephemeral(local): // both
		return false, false
	}
	return local.port > remote.port, false
}

func peerOf(a *corev3.Address) peer {
	switch {
	case a.GetSocketAddress() != nil:
		s := a.GetSocketAddress()
		port := strconv.FormatUint(uint64(s.GetPortValue()), 10)
		return peer{net.JoinHostPort(s.GetAddress(), port), uint16(s.GetPortValue())}
	case a.GetPipe() != nil:
		return peer{a.GetPipe().GetPath(), 0}
	case a.GetEnvoyInternalAddress() != nil:
		return peer{a.GetEnvoyInternalAddress().GetServerListenerName(), 0}
	}
	return peer{}
}
