package dumplog

import (
	"bytes"
	"hash/maphash"
)

// head is what the beginning of a line says of the stream that it belongs to.
type head struct {
	runtime   bool   // a container runtime (CRI) wrote it
	container bool   // that, or JSON: parts may follow each other with other lines in between
	partial   bool   // the runtime says that the line is not whole
	start     int    // where a runtime's text begins
	key       uint64 // of the stream, 0 if it is not known
}

var seed = maphash.MakeSeed()

// maxHeadBytes is how far a head is looked for.
const maxHeadBytes = 512

// head returns what the beginning of the line says that is being scanned. t must be its beginning, if the line has been
// given in whole.
func (s *Scanner) head(t *text) *head {
	if s.line.head == nil {
		h := findHead(t.bytes, s.line.first)
		s.line.head = &h
	}
	return s.line.head
}

// findHead looks for the prefix of the Container Runtime Interface, also after what grep puts before it, and for the
// stream in Docker's JSON:
//
//	2026-11-23T01:02:03.123456789Z stderr P first part
//	pods/0.log:12:2026-11-23T01:02:03.123456789Z stderr F:tag last part
//	{"log":"a part","stream":"stderr","time":"…"}
//
// raw is the line before escapes were undone, so that the stream is that of the outermost object.
func findHead(b, raw []byte) head {
	const longest = len("2026-11-23T01:02:03.123456789+00:00")
	for from := 0; ; {
		i := bytes.Index(b[from:min(len(b), maxHeadBytes)], []byte(" std"))
		if i < 0 {
			break
		}
		i += from
		from = i + 1
		if bytes.IndexByte(b[:i], '"') >= 0 {
			break // in a string of JSON it is for beginPart
		}
		for length := len("2026-11-23T01:02:03Z"); length <= min(longest, i); length++ {
			if h := runtimeHead(b[i-length:]); h.start > 0 {
				file := bytes.TrimRight(b[:i-length], "0123456789:-")
				h.start += i - length
				h.key = key(file, h.key)
				return h
			}
		}
	}
	h := head{container: bytes.IndexByte(b[:min(len(b), maxHeadBytes)], '{') >= 0}
	const name = `"stream"`
	if i := bytes.Index(raw, []byte(name)); h.container && i >= 0 {
		value := bytes.TrimLeft(raw[i+len(name):], ": ")
		if value, ok := bytes.CutPrefix(value, []byte{'"'}); ok {
			if end := bytes.IndexByte(value, '"'); end >= 0 {
				h.key = key(value[:end], 1)
			}
		}
	}
	return h
}

func key(name []byte, n uint64) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.Write(name)
	_ = h.WriteByte(byte(n))
	return h.Sum64() | 1
}

// runtimeHead reads the prefix that begins b, if it is one: start is 0 if it is not.
func runtimeHead(b []byte) head {
	if len(b) <= len("2026-11-23T01:02:03Z") || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' {
		return head{}
	}
	space := bytes.IndexByte(b[:min(len(b), 40)], ' ')
	if space < 0 {
		return head{}
	}
	rest := b[space:]
	key := uint64(1)
	rest, found := bytes.CutPrefix(rest, []byte(" stdout "))
	if !found {
		key = 2
		if rest, found = bytes.CutPrefix(rest, []byte(" stderr ")); !found {
			return head{}
		}
	}
	// The tag's first field is F or P; others may follow it after a colon.
	tag, rest, _ := bytes.Cut(rest, []byte{' '})
	if len(tag) == 0 || tag[0] != 'F' && tag[0] != 'P' || len(tag) > 1 && tag[1] != ':' && tag[1] != '\r' {
		return head{}
	}
	return head{runtime: true, container: true, partial: tag[0] == 'P', start: len(b) - len(rest), key: key}
}

// starts returns where the line's text may begin: at its first byte, after a runtime's prefix, or after what a system's
// log puts before a message.
func (h *head) starts(b []byte) []int {
	if h.runtime {
		return []int{h.start}
	}
	starts := []int{0}
	for from := 0; len(starts) < 5; {
		i := bytes.Index(b[from:min(len(b), maxHeadBytes)], []byte(": "))
		if i < 0 {
			break
		}
		from += i + len(": ")
		starts = append(starts, from)
	}
	return starts
}
