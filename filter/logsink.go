package filter

import (
	"strconv"

	"l4dump/internal/abi"
	"l4dump/internal/fault"
	"l4dump/record"
	"l4dump/strategy"
)

// logSink writes each record as a line of the proxy's log. What it has written is kept: the proxy's log is never full.
// Lines go to the log in one write as long as one more would fit into it, line breaks between; the proxy puts its prefix
// before the first only. Writes that are longer than a line wait for the next tick to become full.
type logSink struct {
	write    func(level abi.Level, line []byte) // must not keep line
	logLevel func() abi.Level                   // the level from which the proxy writes lines
	level    abi.Level
	layotto  bool    // the format that has data records only
	waits    bool    // for more lines than those of a callback
	hidden   bool    // if it waits: the proxy did not write lines of this level when a write was due
	most     int     // bytes of payload that fit into a line
	line     int     // the most bytes that one more line can take
	full     int     // bytes of a write
	held     []byte  // the lines that are not written yet
	payloads uint64  // bytes of payload in them
	lost     *uint64 // counts those that were never written
}

// The parts of a log line that the proxy adds take linePrefixBytes, besides the names in it.
const linePrefixBytes = 224

// newLogSink returns a sink for lines to which the proxy adds nameBytes of names.
func newLogSink(v *vm, output *strategy.Output, nameBytes int) *logSink {
	prefix := linePrefixBytes + nameBytes
	room := output.MaxLineBytes - prefix
	s := &logSink{
		write: v.Log, logLevel: v.LogLevel, level: levelOf(output.Level), lost: &v.metrics.bytesLost,
		layotto: output.Format == strategy.FormatLayotto, waits: output.WriteBytes > output.MaxLineBytes,
		line: room, full: output.WriteBytes - prefix,
	}
	s.hidden = s.logLevel() > s.level
	s.held = make([]byte, 0, max(s.full, 0))
	s.most = (room - record.MaxDataOverhead) / 2
	if s.layotto {
		s.most = (room - record.LayottoOverhead) / 3
	}
	s.most = max(s.most-s.most%record.HexTurn, record.HexTurn)
	return s
}

// checkLineBytes refuses line lengths that what the proxy adds does not leave room in.
func checkLineBytes(output *strategy.Output, nameBytes int) error {
	least := linePrefixBytes + nameBytes + record.MaxOpenBytes
	if output.MaxLineBytes >= least {
		return nil
	}
	return fault.Faults{{
		Path: "output.max_line_bytes",
		Message: "want at least " + strconv.Itoa(least) + " with the names that the proxy puts before each line, got " +
			strconv.Itoa(output.MaxLineBytes),
	}}
}

func (s *logSink) ready() strategy.Reason {
	if !s.waits {
		s.hidden = s.logLevel() > s.level
	}
	if s.hidden {
		return strategy.LogLevel
	}
	return strategy.Recorded
}

func (s *logSink) payload() int { return s.most }

func (s *logSink) open(c *connection, o *record.Open) (int, strategy.Reason) {
	if s.layotto {
		return 0, strategy.Recorded
	}
	return s.log(record.AppendOpen(s.next(), &c.header, o))
}

func (s *logSink) data(h *record.Header, d record.Direction, offset uint64, payload []byte, masked int) (int, strategy.Reason) {
	s.payloads += uint64(len(payload))
	if s.layotto {
		return s.log(record.AppendLayotto(s.next(), h.Window, h.Port, payload))
	}
	return s.log(record.AppendMasked(s.next(), h, d, offset, payload, masked))
}

func (s *logSink) end(h *record.Header, d record.Direction, length uint64) (int, strategy.Reason) {
	if s.layotto {
		return 0, strategy.Recorded
	}
	return s.log(record.AppendEnd(s.next(), h, d, length))
}

func (s *logSink) close(h *record.Header, c *record.Close) (int, strategy.Reason) {
	if s.layotto {
		return 0, strategy.Recorded
	}
	return s.log(record.AppendClose(s.next(), h, c))
}

func (s *logSink) settle() {
	if !s.waits {
		s.flush()
	}
}

// flush writes the lines that are held. If they have waited, the proxy may write lines of their level no longer.
func (s *logSink) flush() {
	if s.waits {
		s.hidden = s.logLevel() > s.level
	}
	switch {
	case len(s.held) == 0:
		return
	case s.waits && s.hidden:
		*s.lost += s.payloads
	default:
		s.write(s.level, s.held)
	}
	s.held, s.payloads = s.held[:0], 0
}

// next returns the bytes that the next line is appended to.
func (s *logSink) next() []byte {
	if len(s.held) == 0 {
		return s.held
	}
	return append(s.held, '\n')
}

// log takes next's bytes with a line after them.
func (s *logSink) log(held []byte) (int, strategy.Reason) {
	size := len(held) - len(s.held)
	if len(s.held) > 0 {
		size -= len("\n")
	}
	if s.held = held; len(held)+len("\n")+s.line > s.full {
		s.flush()
	}
	return size, strategy.Recorded
}

func levelOf(l strategy.Level) abi.Level {
	switch l {
	case strategy.LevelTrace:
		return abi.LevelTrace
	case strategy.LevelDebug:
		return abi.LevelDebug
	case strategy.LevelWarn, strategy.LevelWarning:
		return abi.LevelWarn
	case strategy.LevelError:
		return abi.LevelError
	case strategy.LevelCritical:
		return abi.LevelCritical
	}
	return abi.LevelInfo
}
