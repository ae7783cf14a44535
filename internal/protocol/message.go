package protocol

import (
	"cmp"
	"slices"
	"strings"
)

// Message is what one message says, in parts that can be compared one by one. No two Fields have the same Part.
type Message struct {
	Class  string // as Piece.Class
	Failed bool   // as Piece.Failed
	Fields []Field
	// Undecoded is why a field holds bytes as they were sent instead of what they mean, as one line; "" if none does.
	Undecoded string
}

// Field is one part of a message. What is in it has a Path that begins with Part.
//
//	status               Part "status"
//	header:set-cookie    Part "header:set-cookie"; a set if the header stands more than once
//	body:$.items[0].id   Part "body:$", as a map
//	body                 Part "body", a body of another form
//	value:$[0]           Part "value:$", what Redis answered
//	bytes                Part "bytes", a message whose inside is not known
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
	Map   // by key, in no order; a key may stand in it more than once
)

// String returns the type as a word.
func (t Type) String() string {
	words := [...]string{Null: "null", Bool: "bool", Number: "number", String: "string", Error: "error", Array: "array", Set: "set", Map: "map"}
	if int(t) < len(words) && t > 0 {
		return words[t]
	}
	return "none"
}

// Value is a value as it was written: a number is never converted.
type Value struct {
	Type    Type
	Text    string   // of Bool, Number, String and Error: without quotes and escapes
	Items   []Value  // of Array and Set
	Members []Member // of Map
}

// Member is an entry of a Map.
type Member struct {
	Key   string
	Value Value
}

// Sort puts what is in no order into one, inwards too: two messages that say the same become equal.
func (m *Message) Sort() {
	slices.SortFunc(m.Fields, func(a, b Field) int { return strings.Compare(a.Part, b.Part) })
	for i := range m.Fields {
		m.Fields[i].Value.Sort()
	}
}

// Sort puts what is in no order into one, inwards too.
func (v *Value) Sort() {
	for i := range v.Items {
		v.Items[i].Sort()
	}
	for i := range v.Members {
		v.Members[i].Value.Sort()
	}
	switch v.Type {
	case Set:
		slices.SortFunc(v.Items, compare)
	case Map:
		slices.SortStableFunc(v.Members, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
	}
}

// compare orders values that are sorted inwards.
func compare(a, b Value) int {
	if c := cmp.Or(cmp.Compare(a.Type, b.Type), strings.Compare(a.Text, b.Text), slices.CompareFunc(a.Items, b.Items, compare)); c != 0 {
		return c
	}
	return slices.CompareFunc(a.Members, b.Members, func(a, b Member) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), compare(a.Value, b.Value))
	})
}

// Walk calls visit with each value that has nothing inside, an empty array, set or map among them, and its path.
func (m *Message) Walk(visit func(Path, *Value)) {
	for i := range m.Fields {
		m.Fields[i].Value.Walk(Path(m.Fields[i].Part), visit)
	}
}

// Walk calls visit with each value that has nothing inside and its path, which begins with path.
func (v *Value) Walk(path Path, visit func(Path, *Value)) {
	if len(v.Items) == 0 && len(v.Members) == 0 {
		visit(path, v)
		return
	}
	for i := range v.Items {
		v.Items[i].Walk(path.AppendIndex(i), visit)
	}
	for i := range v.Members {
		v.Members[i].Value.Walk(path.AppendKey(v.Members[i].Key), visit)
	}
}
