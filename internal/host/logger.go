package host

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// LogLevel is the severity of a log line; its values are those of proxy_log.
type LogLevel uint32

// The levels, from the most to the least talkative.
const (
	LevelTrace LogLevel = iota
	LevelDebug
	LevelInfo
	LevelWarning
	LevelError
	LevelCritical
	LevelOff
)

var levelNames = [...]string{"trace", "debug", "info", "warning", "error", "critical", "off"}

// String returns the name that Envoy prints.
func (l LogLevel) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "LogLevel(" + strconv.Itoa(int(l)) + ")"
}

// ParseLogLevel reads a level's name; "warn" means "warning", as in Envoy.
func ParseLogLevel(name string) (LogLevel, error) {
	if name == "warn" {
		return LevelWarning, nil
	}
	for i, known := range levelNames {
		if name == known {
			return LogLevel(i), nil
		}
	}
	return 0, fmt.Errorf("read log level %q: want trace, debug, info, warning, error, critical or off", name)
}

const (
	// logTime is Envoy's default time format.
	logTime = "2006-01-02 15:04:05.000"
	// failureSource is the source line at which Envoy 1.40 logs the failure of a VM.
	failureSource = "source/extensions/common/wasm/wasm_vm.cc:38"
)

// pluginSources are the source lines at which Envoy 1.40 logs what a plugin says, by level.
var pluginSources = [...]string{
	LevelTrace:    "source/extensions/common/wasm/context.cc:1145",
	LevelDebug:    "source/extensions/common/wasm/context.cc:1148",
	LevelInfo:     "source/extensions/common/wasm/context.cc:1151",
	LevelWarning:  "source/extensions/common/wasm/context.cc:1154",
	LevelError:    "source/extensions/common/wasm/context.cc:1157",
	LevelCritical: "source/extensions/common/wasm/context.cc:1160",
}

// Logger writes lines in Envoy's default format:
//
//	[2026-11-23 01:23:51.887][25111][info][wasm] [source/extensions/common/wasm/context.cc:1151] wasm log name root vm: MSG
//
// Each line is one call of Write. A Logger may be used by several goroutines at once.
type Logger struct {
	now    func() time.Time
	thread int
	level  atomic.Uint32

	mu   sync.Mutex
	w    io.Writer
	line []byte
}

// NewLogger returns a logger that writes lines of at least the given level to w, stamped by now. mainThread is the
// number that means the main thread; the workers have the numbers after it.
func NewLogger(w io.Writer, level LogLevel, mainThread int, now func() time.Time) *Logger {
	l := &Logger{w: w, now: now, thread: mainThread}
	l.SetLevel(level)
	return l
}

// SetLevel changes the lowest level that is written.
func (l *Logger) SetLevel(level LogLevel) { l.level.Store(uint32(level)) }

// Level returns the lowest level that is written.
func (l *Logger) Level() LogLevel { return LogLevel(l.level.Load()) }

// Printf writes a line of the proxy itself: component is Envoy's name of the logger, source the line of code.
func (l *Logger) Printf(level LogLevel, component, source, format string, args ...any) {
	l.printf(level, l.thread, component, source, format, args...)
}

func (l *Logger) printf(level LogLevel, thread int, component, source, format string, args ...any) {
	if level < l.Level() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(level, thread, component, source)
	l.line = fmt.Appendf(l.line, format, args...)
	l.end()
}

// plugin writes a line of a plugin on the main thread (0) or on a worker (from 1). prefix is empty or begins with a blank.
// Allocation-free.
func (l *Logger) plugin(level LogLevel, thread int, prefix string, message []byte) {
	if level < l.Level() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(level, l.thread+thread, "wasm", pluginSources[level])
	l.line = append(l.line, "wasm log"...)
	l.line = append(l.line, prefix...)
	l.line = append(l.line, ": "...)
	l.line = append(l.line, message...)
	l.end()
}

func (l *Logger) begin(level LogLevel, thread int, component, source string) {
	l.line = append(l.line[:0], '[')
	l.line = l.now().AppendFormat(l.line, logTime)
	l.line = append(l.line, "]["...)
	l.line = strconv.AppendInt(l.line, int64(thread), 10)
	l.line = append(l.line, "]["...)
	l.line = append(l.line, level.String()...)
	l.line = append(l.line, "]["...)
	l.line = append(l.line, component...)
	l.line = append(l.line, "] ["...)
	l.line = append(l.line, source...)
	l.line = append(l.line, "] "...)
}

func (l *Logger) end() {
	l.line = append(l.line, '\n')
	// There is nobody to tell that the log cannot be written: traffic continues, as in Envoy.
	_, _ = l.w.Write(l.line)
}
