package protocol

// Message is what one message says, in parts that can be compared one by one.
type Message struct {
	Class  string // as Piece.Class
	Failed bool   // as Piece.Failed
	Fields []Field
}

// Field is one part of a message.
//
//	status               Part "status"
//	header:set-cookie    Part "header:set-cookie"; an array if the header stands more than once
//	body                 Part "body", a JSON value, text or bytes
//	value                the answer of Redis
//	bytes                a message whose inside is not known
type Field struct {
	Part  string
	Value Value
}

// Type is what a Value is.
type Type uint8

// The types. Only Array, Set and Map have something inside.
const (
	Null Type = iota + 1
	Bool
	Number
	String
	Error
	Array // in order
	Set   // in no order; a value may stand in it more than once
	Map   // by key, in no order
)

// Value is a value as it was written: numbers are never converted, and a key that stands twice is there twice.
type Value struct {
	Type    Type
	Text    string   // of Bool, Number, String and Error: exactly as written, without quotes and escapes
	Items   []Value  // of Array and Set
	Members []Member // of Map, in the order in which they were written
}

// Member is an entry of a Map.
type Member struct {
	Key   string
	Value Value
}
