package inspect

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/docs"
	"l4dump/internal/protocol/guess"
)

// TestDocumentedJSON holds the table of fields in docs/FORMAT.md to those that there are.
func TestDocumentedJSON(t *testing.T) {
	text, err := docs.Section("FORMAT.md", "## What `l4dump inspect --json` writes")
	require.NoError(t, err)
	text, _, _ = strings.Cut(text, "\n### ")
	var documented []string
	for _, row := range docs.Rows(text) {
		documented = append(documented, docs.Codes(row[0])...)
	}
	fields := fieldsOf(reflect.TypeFor[Report](), "")
	for _, field := range fields {
		require.Contains(t, documented, field)
	}
	for _, name := range documented {
		require.True(t, slices.ContainsFunc(fields, func(f string) bool { return f == name || strings.HasPrefix(f, name+".") }), name)
	}
}

// fieldsOf returns the paths of the values in a type's JSON.
func fieldsOf(t reflect.Type, path string) (all []string) {
	switch {
	case t == reflect.TypeFor[Bytes](), t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Pointer:
		return []string{path}
	case t.Kind() == reflect.Slice:
		return fieldsOf(t.Elem(), path+"[]")
	case t.Kind() == reflect.Pointer:
		return fieldsOf(t.Elem(), path)
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		if path != "" {
			name = path + "." + name
		}
		all = append(all, fieldsOf(t.Field(i).Type, name)...)
	}
	return all
}

func TestDocumentedFaults(t *testing.T) {
	text, err := docs.Section("FORMAT.md", "### Kinds of faults")
	require.NoError(t, err)
	var documented []string
	for _, row := range docs.Rows(text) {
		documented = append(documented, docs.Codes(row[0])...)
	}
	require.ElementsMatch(t, append(faultNames[:], inputFault), documented)
}

func TestDocumentedProtocols(t *testing.T) {
	text, err := docs.Section("FORMAT.md", "### Protocols that are guessed")
	require.NoError(t, err)
	rows := docs.Rows(text)
	require.Len(t, rows, 10)
	for _, p := range []guess.Protocol{
		guess.TLS, guess.HTTP1, guess.HTTP2, guess.Redis, guess.MySQL, guess.PostgreSQL, guess.MQTT, guess.Kafka, guess.MongoDB, guess.AMQP,
	} {
		require.True(t, slices.ContainsFunc(rows, func(row []string) bool { return row[0] == p.Name() }), p)
	}
}
