package pcapng

import (
	"fmt"
	"strings"

	"l4dump/internal/capture"
)

// notes are the comments that the next packet of a flow gets.
type notes struct {
	texts []string
	more  int // that were left out
}

// maxNotes bounds the comments of one packet.
const maxNotes = 16

func (n *notes) add(format string, args ...any) {
	if len(n.texts) == maxNotes {
		n.more++
		return
	}
	n.texts = append(n.texts, fmt.Sprintf(format, args...))
}

func (n *notes) any() bool { return len(n.texts) > 0 }

// take returns the comments, which are valid until the next one is added.
func (n *notes) take() []string {
	texts := n.texts
	if n.more > 0 {
		texts = append(texts, fmt.Sprintf("%d more comments are left out", n.more))
	}
	n.texts, n.more = n.texts[:0], 0
	return texts
}

// connection says what TCP does not show of a connection. Text from the network is escaped.
func (n *notes) connection(c *capture.Connection, first *capture.Event, madeUp []string) {
	var b strings.Builder
	fmt.Fprintf(&b, "l4dump: connection %s to port %d, window %s", c.ID, c.Port, c.Window)
	if o := c.Open; o != nil {
		for _, field := range []struct{ key, text string }{{"unit", o.Unit}, {"sni", o.SNI}, {"peer", o.Peer}, {"next", o.Next}} {
			if field.text != "" {
				fmt.Fprintf(&b, ", %s %s", field.key, capture.Name(field.text))
			}
		}
		if o.HasProxyConn {
			fmt.Fprintf(&b, ", the proxy's connection %d", o.ProxyConn)
		}
		if o.MTLS {
			b.WriteString(", mTLS")
		}
	}
	if first.Kind != capture.KindOpen || first.Seq > 0 {
		fmt.Fprintf(&b, "; its beginning is missing, the first record is %d", first.Seq)
	}
	n.add("%s", b.String())
	for _, text := range madeUp {
		n.add("l4dump: %s", text)
	}
}

// gap says that bytes first to last are missing.
func (n *notes) gap(d capture.Direction, first, last uint64, why string, cut bool) {
	text := fmt.Sprintf("l4dump: bytes %d-%d of %s are missing before this packet", first, last, d)
	if first == last {
		text = fmt.Sprintf("l4dump: byte %d of %s is missing before this packet", first, d)
	}
	if why != "" {
		text += ": " + why
	}
	if cut {
		text += fmt.Sprintf("; sequence numbers show %d bytes only", maxGapBytes)
	}
	n.add("%s", text)
}

// fault says what is wrong with the connection, besides what gap, closed and verdict say.
func (n *notes) fault(f *capture.Fault) {
	switch f.Kind {
	case capture.FaultGap, capture.FaultLostGap, capture.FaultDropped, capture.FaultNoClose:
	default:
		n.add("l4dump: %s", f)
	}
}

// closed says who closed the connection, and which bytes were dropped.
func (n *notes) closed(c *capture.Close) {
	text := "l4dump: closed by " + capture.Name(c.By).String()
	if c.HasLedger {
		for d := range c.Ledger {
			l := &c.Ledger[d]
			text += fmt.Sprintf("; %s seen %d, kept %d", capture.Direction(d), l.Seen, l.Kept)
			for _, drop := range l.Dropped {
				text += fmt.Sprintf(", dropped %s %d", capture.Name(drop.Reason), drop.Bytes)
			}
		}
	}
	n.add("%s", text)
}

// verdict says what is known of the connection as a whole.
func (n *notes) verdict(v *capture.Verdict) {
	if v.State != capture.Whole || v.Repeats {
		n.add("l4dump: %s", v)
	}
}
