package envoyapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"

	"l4dump/internal/fault"
)

const anyName = protoreflect.FullName("google.protobuf.Any")

// Decode reads a value of a [Content] into message and returns what is wrong with its form: fields that do not exist,
// values of the wrong kind. protojson stops at the first of these and does not name its place, so they are looked for
// and left out before it runs; what Envoy's parser accepts and protojson does not is brought to protojson's form: enums
// in any case, a list's only element without the list, numbers and booleans as strings, and TypedStruct. value is not
// changed.
func Decode(value any, message proto.Message) Faults {
	var faults Faults
	object, ok := value.(map[string]any)
	if !ok {
		faults.Add("", "want an object")
		return faults
	}
	normal := normalObject(object, message.ProtoReflect().Descriptor(), "", &faults)
	data, err := json.Marshal(normal)
	if err == nil {
		err = protojson.Unmarshal(data, message)
	}
	if err != nil {
		faults.Add("", err.Error())
	}
	return faults
}

// Field returns the field of a message that a key names: as in the API's files, or in camelCase; nil if there is none.
func Field(descriptor protoreflect.MessageDescriptor, key string) protoreflect.FieldDescriptor {
	if field := descriptor.Fields().ByTextName(key); field != nil {
		return field
	}
	return descriptor.Fields().ByJSONName(key)
}

// normalObject returns what is right in object, in protojson's form.
func normalObject(object map[string]any, descriptor protoreflect.MessageDescriptor, path string, faults *Faults) map[string]any {
	normal := make(map[string]any, len(object))
	chosen := make(map[protoreflect.FullName]string) // by oneof
	for _, key := range slices.Sorted(maps.Keys(object)) {
		field := Field(descriptor, key)
		at := fault.Join(path, key)
		switch {
		case field == nil && key == mergeKey:
			faults.Add(at, unknownField+": Envoy has no merge keys")
			continue
		case field == nil:
			faults.Add(at, unknownField)
			continue
		case object[key] == nil:
			continue // null leaves a field unset
		}
		name := string(field.Name())
		if _, ok := normal[name]; ok {
			faults.AddAccepted(at, "given twice, in both spellings: which one counts is open")
		}
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			if other, ok := chosen[oneof.FullName()]; ok {
				faults.Add(at, "only one of "+other+" and "+key+" may be set")
				continue
			}
			chosen[oneof.FullName()] = key
		}
		if value, ok := normalField(object[key], field, at, faults); ok {
			normal[name] = value
		}
	}
	return normal
}

// normalField returns false for a value that must be left out.
func normalField(value any, field protoreflect.FieldDescriptor, path string, faults *Faults) (any, bool) {
	if field.IsMap() {
		return value, checkLeaf(value, field, path, faults)
	}
	if !field.IsList() {
		return normalElement(value, field, path, faults)
	}
	list, ok := value.([]any)
	if !ok {
		element, ok := normalElement(value, field, path, faults)
		return []any{element}, ok
	}
	normal := make([]any, 0, len(list))
	for i, element := range list {
		element, ok := normalElement(element, field, fmt.Sprintf("%s[%d]", path, i), faults)
		if !ok {
			return nil, false
		}
		normal = append(normal, element)
	}
	return normal, true
}

// normalElement is normalField for a field that is not a list, or for one element of it.
func normalElement(value any, field protoreflect.FieldDescriptor, path string, faults *Faults) (any, bool) {
	descriptor := field.Message()
	object, isObject := value.(map[string]any)
	switch {
	case descriptor == nil:
		value = normalScalar(value, field)
	case descriptor.FullName() == anyName && isObject:
		return normalAny(object, path, faults)
	case strings.HasPrefix(string(descriptor.FullName()), "google.protobuf."):
		value = normalWrapper(value, descriptor)
	case !isObject:
		faults.Add(path, "want an object")
		return nil, false
	default:
		return normalObject(object, descriptor, path, faults), true
	}
	whole := value
	if field.IsList() {
		whole = []any{value}
	}
	return value, checkLeaf(whole, field, path, faults)
}

// normalWrapper is normalScalar for the value in a wrapper such as google.protobuf.BoolValue.
func normalWrapper(value any, descriptor protoreflect.MessageDescriptor) any {
	if !strings.HasSuffix(string(descriptor.Name()), "Value") || descriptor.Fields().Len() != 1 {
		return value // a Duration, a Struct, a Value of any kind
	}
	return normalScalar(value, descriptor.Fields().Get(0))
}

// normalScalar brings a string to the form that protojson wants, since Envoy's parser accepts more.
func normalScalar(value any, field protoreflect.FieldDescriptor) any {
	text, ok := value.(string)
	if !ok {
		return value
	}
	switch field.Kind() {
	case protoreflect.BoolKind:
		if text == "true" || text == "false" {
			return text == "true"
		}
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		for i := range values.Len() {
			if name := string(values.Get(i).Name()); strings.EqualFold(name, text) {
				return name
			}
		}
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return n
		}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Uint32Kind, protoreflect.Int64Kind, protoreflect.Sint64Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind, protoreflect.Sfixed32Kind, protoreflect.Sfixed64Kind:
		if digits := strings.TrimLeft(text, "0"); digits != "" && digits != text && '0' <= digits[0] && digits[0] <= '9' {
			return digits
		}
	}
	return value
}

// isForeign reports whether a type may well exist although this program has no description of it, rather than being
// misspelled.
func isForeign(name protoreflect.FullName) bool {
	return protoregistry.GlobalFiles.NumFilesByPackage(name.Parent()) == 0
}

// normalAny returns the message in an Any, which has the fields of the message next to its "@type".
func normalAny(object map[string]any, path string, faults *Faults) (any, bool) {
	url, fields, at := Unwrap(object, path)
	if url == "" {
		faults.Add(fault.Join(path, "@type"), "want the type of the message")
		return nil, false
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err != nil {
		if isForeign(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:])) {
			faults.AddAccepted(fault.Join(path, "@type"), fmt.Sprintf("unknown type %q: %s", url, NotSupported))
		} else {
			faults.Add(fault.Join(path, "@type"), fmt.Sprintf("unknown type %q", url))
		}
		return nil, false
	}
	if name := string(kind.Descriptor().FullName()); strings.HasPrefix(name, "google.protobuf.") {
		data, err := json.Marshal(object)
		if err == nil {
			err = protojson.Unmarshal(data, new(anypb.Any))
		}
		if err != nil {
			faults.Add(path, "want a "+name)
			return nil, false
		}
		return object, true
	}
	normal := normalObject(fields, kind.Descriptor(), at, faults)
	normal["@type"] = url
	return normal, true
}

// NotSupported is what is said of a field or a type that Envoy may know and the embedded engine does not.
const NotSupported = "not supported by the embedded engine; use Envoy"

// typedStructs are the messages that carry another message as a Struct.
var typedStructs = []string{"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"}

// Unwrap returns the type of the message in an Any and its fields, also if a TypedStruct carries it, and the path of the
// fields. The type is empty for an object that is not an Any.
func Unwrap(object map[string]any, path string) (typeURL string, fields map[string]any, at string) {
	typeURL, _ = object["@type"].(string)
	if !slices.Contains(typedStructs, typeURL[strings.LastIndexByte(typeURL, '/')+1:]) {
		fields = maps.Clone(object)
		delete(fields, "@type")
		return typeURL, fields, path
	}
	typeURL, _ = object["type_url"].(string)
	if camel, ok := object["typeUrl"].(string); ok {
		typeURL = camel
	}
	fields, _ = object["value"].(map[string]any)
	return typeURL, fields, fault.Join(path, "value")
}

// checkLeaf lets protojson judge one value.
func checkLeaf(value any, field protoreflect.FieldDescriptor, path string, faults *Faults) bool {
	data, err := json.Marshal(map[string]any{string(field.Name()): value})
	if err == nil {
		err = protojson.Unmarshal(data, dynamicpb.NewMessage(field.ContainingMessage()))
	}
	if err == nil {
		return true
	}
	text, _ := json.Marshal(value)
	faults.Add(path, fmt.Sprintf("invalid value %s: want %s", text, wanted(field)))
	return false
}

func wanted(field protoreflect.FieldDescriptor) string {
	what := field.Kind().String()
	switch field.Kind() {
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		names := make([]string, values.Len())
		for i := range names {
			names[i] = string(values.Get(i).Name())
		}
		what = "one of " + strings.Join(names, ", ")
	case protoreflect.MessageKind:
		what = string(field.Message().FullName())
		switch field.Message().FullName() {
		case "google.protobuf.Duration":
			what = `a duration such as "1.5s"`
		case "google.protobuf.UInt32Value":
			what = "uint32"
		case "google.protobuf.BoolValue":
			what = "bool"
		}
	}
	switch {
	case field.IsMap():
		return "an object"
	case field.IsList():
		return "a list of " + what
	}
	return what
}
