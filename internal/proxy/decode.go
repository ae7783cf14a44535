package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

const anyName = protoreflect.FullName("google.protobuf.Any")

// decode reads YAML or JSON into message and returns what is wrong with its form: fields that do not exist, values of the
// wrong kind. protojson stops at the first of these, so they are looked for here, and taken out before it runs.
// A text that is no object at all leaves message empty and is false.
func decode(text []byte, message proto.Message) (faults Faults, ok bool) {
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		faults.add("", strings.NewReplacer("yaml: ", "", "unmarshal errors:\n  ", "", "\n  ", "; ").Replace(err.Error()))
		return faults, false
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		faults.add("", err.Error())
		return faults, false
	}
	object, ok := value.(map[string]any)
	if !ok {
		faults.add("", "want an object")
		return faults, false
	}
	checkObject(object, message.ProtoReflect().Descriptor(), "", &faults)
	if data, err = json.Marshal(object); err == nil {
		err = protojson.Unmarshal(data, message)
	}
	if err != nil {
		faults.add("", err.Error())
	}
	return faults, true
}

// checkObject checks object against descriptor and takes out what is wrong.
func checkObject(object map[string]any, descriptor protoreflect.MessageDescriptor, path string, faults *Faults) {
	chosen := make(map[protoreflect.FullName]string) // by oneof
	for _, key := range slices.Sorted(maps.Keys(object)) {
		field := descriptor.Fields().ByTextName(key)
		if field == nil {
			field = descriptor.Fields().ByJSONName(key)
		}
		at := join(path, key)
		if field == nil {
			faults.add(at, unknownField)
			delete(object, key)
			continue
		}
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			if other, ok := chosen[oneof.FullName()]; ok {
				faults.add(at, "only one of "+other+" and "+key+" may be set")
				delete(object, key)
				continue
			}
			chosen[oneof.FullName()] = key
		}
		if !checkField(object[key], field, at, faults) {
			delete(object, key)
		}
	}
}

// checkField returns false for a value that must be taken out.
func checkField(value any, field protoreflect.FieldDescriptor, path string, faults *Faults) bool {
	if value == nil {
		return true // null leaves a field unset
	}
	list, isList := value.([]any)
	switch {
	case field.Message() == nil || field.IsMap() || field.IsList() && !isList:
		return checkLeaf(value, field, path, faults)
	case !field.IsList():
		return checkMessage(value, field, path, faults)
	}
	kept := true
	for i, element := range list {
		kept = checkMessage(element, field, fmt.Sprintf("%s[%d]", path, i), faults) && kept
	}
	return kept
}

func checkMessage(value any, field protoreflect.FieldDescriptor, path string, faults *Faults) bool {
	descriptor := field.Message()
	object, ok := value.(map[string]any)
	switch {
	case descriptor.FullName() == anyName && ok:
		return checkAny(object, path, faults)
	case strings.HasPrefix(string(descriptor.FullName()), "google.protobuf."):
		if field.IsList() {
			value = []any{value}
		}
		return checkLeaf(value, field, path, faults)
	case !ok:
		faults.add(path, "want an object")
		return false
	}
	checkObject(object, descriptor, path, faults)
	return true
}

// isForeign reports whether a type may well be one of Envoy's that the engine has nothing of, rather than a wrong name.
func isForeign(name protoreflect.FullName) bool {
	return strings.HasPrefix(string(name), "envoy.extensions.") && protoregistry.GlobalFiles.NumFilesByPackage(name.Parent()) == 0
}

// checkAny checks the message in an Any, which has the fields of the message beside its "@type".
func checkAny(object map[string]any, path string, faults *Faults) bool {
	url, _ := object["@type"].(string)
	if url == "" {
		faults.add(join(path, "@type"), "want the type of the message")
		return false
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err != nil {
		message := fmt.Sprintf("unknown type %q", url)
		if name := protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]); isForeign(name) {
			message += ": " + notSupported
		}
		faults.add(join(path, "@type"), message)
		return false
	}
	if strings.HasPrefix(string(kind.Descriptor().FullName()), "google.protobuf.") {
		data, err := json.Marshal(object)
		if err == nil {
			err = protojson.Unmarshal(data, new(anypb.Any))
		}
		if err != nil {
			faults.add(path, "want a "+string(kind.Descriptor().FullName()))
			return false
		}
		return true
	}
	delete(object, "@type")
	checkObject(object, kind.Descriptor(), path, faults)
	object["@type"] = url
	return true
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
	faults.add(path, fmt.Sprintf("invalid value %s: want %s", text, wanted(field)))
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
