// Package difference tells how two answers differ: as messages of a protocol, value by value, or as bytes.
package difference

// Kind is a kind of difference, the worst first.
type Kind uint8

// The kinds. "A" is what was expected, "B" is what came.
const (
	NoAnswer  Kind = iota // A answered, and nothing came
	EarlyEnd              // the connection ended within the answer, or before all was sent
	NewError              // an error where A succeeded
	NoError               // success where A failed
	Missing               // fewer messages
	Extra                 // more messages
	Type                  // a value of another type
	Added                 // a field that A does not have
	Removed               // a field that only A has
	Value                 // another value
	Order                 // the same values in another order
	Length                // more or fewer values or bytes, of which the common ones are equal
	ErrorText             // the same error in other words
	Ending                // the connection was closed by the other peer, or left open
	Late                  // an answer that took too long

	Kinds = int(Late) + 1
)

var kindNames = [Kinds]string{
	"no answer", "early end", "error", "no error", "missing message", "extra message", "type", "added field", "removed field",
	"value", "order", "length", "error text", "ending", "late",
}

// String returns the kind in words.
func (k Kind) String() string { return kindNames[k] }

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Difference is one thing in which B differs from A.
type Difference struct {
	Kind Kind
	// Path is where, without what differs from message to message: "status", "header:server", "body:$.items[*].id",
	// "value:$[*]", "bytes". Empty for what concerns the whole answer.
	Path string
	// At is the same place with indices: "body:$.items[3].id". In both, {} stands for a key that may be a value. Exact has
	// the keys, which may be secret; it is empty if it is At.
	At, Exact string
	// A and B are the values as they were written, or a part of them around the difference. HasA and HasB say whether
	// there is one.
	A, B             string
	HasA, HasB       bool
	LengthA, LengthB int // of the whole values, in bytes; for a Length of values, in values
	// TypeA and TypeB are the values' types, of a difference in type: "number", "string".
	TypeA, TypeB string
	// Offset is that of the first byte that differs, in the value; From is that of A's and B's first byte.
	Offset, From int
}
