package envoyapi

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"l4dump/internal/fault"
)

// constraintError is what the generated validation code of Envoy's API returns.
type constraintError interface {
	Field() string
	Reason() string
	Cause() error
}

// Constraints adds what the constraints of Envoy's API refuse in message and in the messages that it holds, of the types
// that this program knows.
func Constraints(message protoreflect.Message, path string, faults *Faults) {
	if packed, ok := message.Interface().(*anypb.Any); ok {
		unpacked, err := packed.UnmarshalNew()
		if err != nil {
			return
		}
		message = unpacked.ProtoReflect()
	}
	ownConstraints(message, path, faults)
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := fault.Join(path, string(field.Name()))
		switch {
		case field.Message() == nil || !message.Has(field):
		case field.IsMap():
			if field.MapValue().Message() != nil {
				message.Get(field).Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
					Constraints(value.Message(), fault.Join(at, key.String()), faults)
					return true
				})
			}
		case field.IsList():
			list := message.Get(field).List()
			for i := range list.Len() {
				Constraints(list.Get(i).Message(), fmt.Sprintf("%s[%d]", at, i), faults)
			}
		default:
			Constraints(message.Get(field).Message(), at, faults)
		}
	}
}

// ownConstraints reports what is wrong in message itself.
func ownConstraints(message protoreflect.Message, path string, faults *Faults) {
	validator, ok := message.Interface().(interface{ ValidateAll() error })
	if !ok {
		return
	}
	all, ok := validator.ValidateAll().(interface{ AllErrors() []error })
	if !ok {
		return
	}
	for _, err := range all.AllErrors() {
		var constraint constraintError
		if constraint, ok = err.(constraintError); ok && constraint.Cause() == nil {
			faults.Add(fault.Join(path, protoName(message.Descriptor(), constraint.Field())), constraint.Reason())
		}
	}
}

// protoName turns the name of a Go field, perhaps with an index, into that of the field or of the oneof.
func protoName(descriptor protoreflect.MessageDescriptor, goName string) string {
	name, index, _ := strings.Cut(goName, "[")
	if index != "" {
		index = "[" + index
	}
	same := func(candidate protoreflect.Name) bool {
		return strings.EqualFold(strings.ReplaceAll(string(candidate), "_", ""), name)
	}
	for i := range descriptor.Fields().Len() {
		if candidate := descriptor.Fields().Get(i).Name(); same(candidate) {
			return string(candidate) + index
		}
	}
	for i := range descriptor.Oneofs().Len() {
		if candidate := descriptor.Oneofs().Get(i).Name(); same(candidate) {
			return string(candidate) + index
		}
	}
	return goName
}
