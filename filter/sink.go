package filter

import (
	"l4dump/record"
	"l4dump/strategy"
)

// sink is where a plugin's records go. It decides what "kept" means: bytes are kept once data has accepted them.
//
// Each record is accepted, refused for a reason (QueueFull if there is no room for it), or left out, which a format
// does that has no such record. size is then the bytes that the record takes, or 0. A header and a payload are valid
// during the call only. ready and data are allocation-free.
type sink interface {
	// ready returns why the sink takes nothing now, or Recorded. It is asked before each read of which something may
	// be recorded, so that nothing counts as kept that goes nowhere.
	ready() strategy.Reason
	// payload is the most bytes that one call of data takes.
	payload() int
	// open begins c's records. A sink that may lose later what it has accepted keeps c, and calls c.lost.
	open(c *connection, o *record.Open) (size int, reason strategy.Reason)
	// data takes payload, at offset of direction d's stream, of which so many bytes are masked.
	data(h *record.Header, d record.Direction, offset uint64, payload []byte, masked int) (size int, reason strategy.Reason)
	// end takes the end of direction d's stream, which was length bytes long.
	end(h *record.Header, d record.Direction, length uint64) (size int, reason strategy.Reason)
	// close ends the connection's records.
	close(h *record.Header, c *record.Close) (size int, reason strategy.Reason)
	// settle is called before a connection's callback returns, so that a sink can write at once what need not wait.
	settle()
	// flush sends on what the sink has accepted and still holds. It is called on each tick, and at the plugin's end.
	flush()
}
