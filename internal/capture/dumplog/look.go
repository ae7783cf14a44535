package dumplog

import (
	"bytes"
	"fmt"
)

// Look is what an input without a record looks like, for a hint to whoever expected one. The zero value has seen
// nothing.
type Look struct {
	lines  uint64
	sample []byte // of the input's beginning
	envoy  uint64 // lines of Envoy's or Istio's log
	wasm   uint64 // those that a plugin wrote
	said   []byte // what l4dump said last of its configuration, or of why it stopped
}

// sampleBytes is how much of the input's beginning is kept.
const sampleBytes = 4 << 10

// Line takes a line without a record.
func (l *Look) Line(line []byte) {
	l.lines++
	if room := sampleBytes - len(l.sample); room > 0 {
		l.sample = append(append(l.sample, line[:min(room, len(line))]...), '\n')
	}
	line = line[:min(len(line), sampleBytes)]
	switch {
	case bytes.Contains(line, []byte("wasm log")):
		l.envoy++
		l.wasm++
		for _, message := range []string{"configured: switch ", "recording stops: "} {
			if i := bytes.Index(line, []byte(message)); i >= 0 {
				l.said = append(l.said[:0], line[i:i+messageEnd(line[i:])]...)
			}
		}
	case bytes.Contains(line, []byte("][info][")), bytes.Contains(line, []byte("][warning][")),
		bytes.Contains(line, []byte("][debug][")), bytes.Contains(line, []byte("\tinfo\tenvoy ")),
		bytes.Contains(line, []byte("\twarning\tenvoy ")), bytes.Contains(line, []byte(`"scope":"envoy `)):
		l.envoy++
	}
}

// messageEnd returns where a message of the plugin ends, without the digest of its configuration.
func messageEnd(b []byte) int {
	const most = 160
	b = b[:min(len(b), most)]
	if i := bytes.Index(b, []byte(", digest")); i >= 0 {
		b = b[:i]
	}
	if i := bytes.IndexAny(b, "\t\r\"\\"); i >= 0 {
		b = b[:i]
	}
	return len(b)
}

// Hint says in one sentence what the input looks like.
func (l *Look) Hint() string {
	plain := bytes.ReplaceAll(l.sample, []byte{0}, nil) // UTF-16, and holes
	switch {
	case l.lines == 0 || len(bytes.TrimSpace(plain)) == 0:
		return "the input is empty"
	case len(l.said) > 0:
		return fmt.Sprintf("the plugin said %q and wrote no record: it is off or stopped, no connection came, "+
			"no sampling window was open, or the proxy hides the log level that records have", l.said)
	case l.wasm > 0:
		return "the input is a proxy's log with lines of plugins, but none in which l4dump says that it is configured: " +
			"the log begins too late, or the plugin is another one"
	case isConfiguration(plain):
		return "the input looks like a configuration; l4dump check reads those, l4dump decode reads the log of a proxy"
	case l.envoy > 0:
		return "the input is a proxy's log without a line of a plugin: the plugin is not loaded, " +
			"or the level of the log's component wasm is above info"
	case isBinary(plain):
		return "the input is binary; l4dump decode reads the log of a proxy, plain or compressed by gzip, zstd, xz or bzip2"
	case l.lines == 1:
		return "the input is 1 line of text that no proxy wrote"
	}
	return fmt.Sprintf("the input is %d lines of text that no proxy wrote", l.lines)
}

// isConfiguration reports whether text begins as what Envoy, Istio or Kubernetes is configured with does.
func isConfiguration(text []byte) bool {
	for _, key := range []string{
		"static_resources", "staticResources", "dynamic_resources", "dynamicResources", "filter_chains", "filterChains",
		"apiVersion", "configs", "layered_runtime", "bootstrap_extensions",
	} {
		for _, quoted := range []string{key + ":", `"` + key + `":`, `"` + key + `" :`} {
			if i := bytes.Index(text, []byte(quoted)); i == 0 || i > 0 && bytes.IndexByte([]byte("\n {\xbf\xfe\xff"), text[i-1]) >= 0 {
				return true
			}
		}
	}
	return false
}

// isBinary reports whether more than a tenth of text are bytes that no text has.
func isBinary(text []byte) bool {
	binary := 0
	for _, c := range text {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != 0x1b {
			binary++
		}
	}
	return 10*binary > len(text)
}
