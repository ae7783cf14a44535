package capture

// Turn is a run of bytes that one peer sent, while the other sent nothing and nothing is missing.
type Turn struct {
	Direction Direction
	Offset    uint64 // of the first byte in the direction's stream
	First     int64  // when the first byte passed, in nanoseconds since the Unix epoch
	Last      int64  // when the last event's bytes passed
	FirstSeq  uint64 // the first event that the bytes come from
	LastSeq   uint64 // the last one
	Bytes     []byte
}

// Conversation is a Consumer that keeps a connection.
type Conversation struct {
	Connection *Connection
	Turns      []Turn
	Ends       [2]*uint64 // the length of a direction's stream that was closed by its sender, by Direction
	Faults     []Fault
	Verdict    *Verdict // nil until the connection or the input has ended
	Truncated  bool     // there were more bytes or faults than may be kept

	cut [2]bool // bytes may be missing after a direction's last turn, by Direction
	max int
	end func(*Conversation) error
}

// maxFaults bounds Conversation.Faults.
const maxFaults = 1024

// NewConversation returns a Consumer of c that keeps the first max bytes of payload, and calls end with itself when the
// connection or the input ends.
func NewConversation(c *Connection, max int, end func(*Conversation) error) *Conversation {
	return &Conversation{Connection: c, max: max, end: end}
}

// Event implements Consumer.
func (c *Conversation) Event(e *Event, _ Place) error {
	switch e.Kind {
	case KindEnd:
		length := e.Offset
		c.Ends[e.Direction] = &length
	case KindData:
		c.data(e)
	}
	return nil
}

func (c *Conversation) data(e *Event) {
	cut := c.cut[e.Direction]
	if len(e.Payload) > 0 || e.Cut {
		c.cut[e.Direction] = e.Cut
	}
	if c.Truncated || len(e.Payload) == 0 {
		return
	}
	payload := e.Payload
	if len(payload) > c.max {
		payload, c.Truncated = payload[:c.max], true
		if len(payload) == 0 {
			return
		}
	}
	c.max -= len(payload)
	if n := len(c.Turns) - 1; n >= 0 && !cut && c.Turns[n].continues(e) {
		t := &c.Turns[n]
		t.Bytes = append(t.Bytes, payload...)
		t.Last, t.LastSeq = e.Time, e.Seq
		return
	}
	c.Turns = append(c.Turns, Turn{
		Direction: e.Direction, Offset: e.Offset, First: e.Time, Last: e.Time, FirstSeq: e.Seq, LastSeq: e.Seq,
		Bytes: append([]byte(nil), payload...),
	})
}

func (t *Turn) continues(e *Event) bool {
	return t.Direction == e.Direction && t.Offset+uint64(len(t.Bytes)) == e.Offset
}

// Fault implements Consumer.
func (c *Conversation) Fault(f *Fault) {
	if len(c.Faults) == maxFaults {
		c.Truncated = true
		return
	}
	c.Faults = append(c.Faults, *f)
}

// End implements Consumer.
func (c *Conversation) End(v *Verdict) error {
	c.Verdict = v
	return c.end(c)
}
