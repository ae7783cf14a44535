package capture

import (
	"bytes"
	"sort"
)

// text is one line as the proxy wrote it, with the places that its bytes come from.
type text struct {
	bytes []byte
	parts []part
}

// part is a piece of a text: its bytes from at on stand from place on.
type part struct {
	at    int
	place Place
}

// place returns where byte i of the text stands. A line may have as many parts as bytes, and thousands of records.
func (t *text) place(i int) Place {
	k := sort.Search(len(t.parts), func(k int) bool { return t.parts[k].at > i }) - 1
	at := t.parts[k].place
	at.Column += int64(i - t.parts[k].at)
	return at
}

// unwrapper takes off what a container runtime wraps around a line, and joins the parts into which it cuts long ones:
//
//	2026-11-23T01:02:03.123456789Z stderr P first part        Kubernetes (CRI); the last part has F
//	{"log":"last part\n","stream":"stderr","time":"…"}        Docker; a part that is not the last has no \n
//
// Other lines stay as they are. Docker's JSON string is left escaped: no character of a record needs it.
type unwrapper struct {
	max     int // bytes of a joined line
	streams [streamCount]partial
	one     [1]part // the parts of a line that is whole

	long func(at Place)
}

// partial is a line of one stream whose end has not come yet.
type partial struct {
	text
	skipping bool // it is too long: its parts are passed over
}

// unwrap returns the proxy's line that line ends. whole is false where it is a part that others follow. t is valid
// until the next call, and as long as line.
func (u *unwrapper) unwrap(line []byte, at Place) (t text, whole bool) {
	piece := cutContainer(line)
	at.Column = int64(piece.start) + 1
	line = line[piece.start:piece.end]
	if piece.last && (piece.stream == streamNone || len(u.streams[piece.stream].parts) == 0) {
		u.one[0] = part{place: at}
		return text{bytes: line, parts: u.one[:]}, true
	}
	p := &u.streams[piece.stream]
	switch {
	case p.skipping, len(line) == 0 && len(p.parts) > 0:
	case len(p.bytes)+len(line) > u.max:
		u.long(p.parts[0].place)
		p.skipping = true
	default:
		p.parts = append(p.parts, part{at: len(p.bytes), place: at})
		p.bytes = append(p.bytes, line...)
	}
	if !piece.last {
		return text{}, false
	}
	t, whole = p.text, !p.skipping
	*p = partial{text: text{bytes: p.bytes[:0], parts: p.parts[:0]}}
	return t, whole
}

// unfinished calls missing with the place of each line whose end has not come, and forgets them.
func (u *unwrapper) unfinished(missing func(at Place)) {
	for i := range u.streams {
		if p := &u.streams[i]; len(p.parts) > 0 && !p.skipping {
			missing(p.parts[0].place)
		}
		u.streams[i] = partial{}
	}
}

// piece is what one line of a container's log carries of the proxy's output: the bytes from start to end.
type piece struct {
	start, end int
	stream     int
	last       bool // it ends the proxy's line
}

// The streams. The runtimes have their own, so that a mixture of logs is not joined.
const (
	streamNone = iota - 1 // not a container runtime's line
	streamCRIStdout
	streamCRIStderr
	streamDockerStdout
	streamDockerStderr
	streamCount
)

func cutContainer(line []byte) piece {
	p := piece{stream: streamNone}
	if bytes.HasPrefix(line, []byte(dockerPrefix)) {
		p = cutDocker(line)
	} else if isTime(line) {
		p = cutCRI(line)
	}
	if p.stream == streamNone {
		return piece{end: len(line), stream: streamNone, last: true}
	}
	return p
}

// isTime reports whether line begins as an RFC 3339 time does.
func isTime(line []byte) bool {
	return len(line) > len("2026-11-23T01:02:03Z") && line[4] == '-' && line[7] == '-' && line[10] == 'T' && line[13] == ':'
}

func cutCRI(line []byte) piece {
	const most = len("2026-11-23T01:02:03.123456789+00:00 ")
	none := piece{stream: streamNone}
	space := bytes.IndexByte(line[:min(most, len(line))], ' ')
	if space < 0 {
		return none
	}
	stream := streamCRIStdout
	rest, found := bytes.CutPrefix(line[space:], []byte(" stdout "))
	if !found {
		stream = streamCRIStderr
		if rest, found = bytes.CutPrefix(line[space:], []byte(" stderr ")); !found {
			return none
		}
	}
	// The tag's first field is F or P; others may follow it after a colon.
	tag, rest, _ := bytes.Cut(rest, []byte{' '})
	if len(tag) == 0 || (tag[0] != 'F' && tag[0] != 'P') || (len(tag) > 1 && tag[1] != ':') {
		return none
	}
	return piece{start: len(line) - len(rest), end: len(line), stream: stream, last: tag[0] == 'F'}
}

const dockerPrefix = `{"log":"`

func cutDocker(line []byte) piece {
	end := len(dockerPrefix)
	for {
		quote := bytes.IndexByte(line[end:], '"')
		if quote < 0 {
			return piece{stream: streamNone}
		}
		end += quote
		if !escaped(line[:end]) {
			break
		}
		end++
	}
	p := piece{start: len(dockerPrefix), end: end}
	switch rest := line[end:]; {
	case bytes.HasPrefix(rest, []byte(`","stream":"stdout"`)):
		p.stream = streamDockerStdout
	case bytes.HasPrefix(rest, []byte(`","stream":"stderr"`)):
		p.stream = streamDockerStderr
	default:
		return piece{stream: streamNone}
	}
	if value := line[p.start:end]; bytes.HasSuffix(value, []byte("n")) && escaped(value[:len(value)-1]) {
		p.end -= len(`\n`)
		p.last = true
	}
	return p
}

// escaped reports whether an odd number of backslashes ends s: what follows is escaped by the last one.
func escaped(s []byte) bool {
	n := 0
	for n < len(s) && s[len(s)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
