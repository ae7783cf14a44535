package capture

import "l4dump/record"

// Handler takes what was decoded. An error ends the decoding.
type Handler interface {
	// Record takes the next record of its connection: those of one connection come in the order of their numbers.
	// r and what it points to are valid until Record returns.
	Record(r *record.Record, at Place) error
	// Layotto takes a line in Layotto's format, which names no connection. payload is valid until Layotto returns.
	Layotto(window record.UUID, port uint16, payload []byte, at Place) error
	// Fault takes what is wrong with the dump, before the record at which it showed.
	Fault(f Fault)
	// Flush is called whenever the input has nothing more for now.
	Flush() error
}
