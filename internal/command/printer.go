package command

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/record"
)

// The values of --color.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

// wantsColor reports whether text for w is colored. Automatic means a terminal, unless NO_COLOR (no-color.org) says
// otherwise.
func wantsColor(color string, w io.Writer) bool {
	if color == colorAuto {
		return os.Getenv("NO_COLOR") == "" && isTerminal(w)
	}
	return color == colorAlways
}

// printer is a capture.Reporter that writes faults to stderr.
type printer struct {
	stderr io.Writer
	bar    *progressbar.ProgressBar // nil: none is shown
}

// Fault implements capture.Reporter.
func (p *printer) Fault(f *capture.Fault) { p.InputFault(f) }

// InputFault implements capture.Reporter.
func (p *printer) InputFault(f fmt.Stringer) {
	p.clearBar()
	fmt.Fprintln(p.stderr, f)
}

// layottoWriter is a capture.Writer whose form has a place for lines in Layotto's format.
type layottoWriter interface {
	WriteLayotto(window record.UUID, port uint16, payload []byte) error
}

// layottoTo returns what gives lines in Layotto's format to w, or nil if its form has no place for them.
func layottoTo(w capture.Writer) func(window record.UUID, port uint16, payload []byte, at capture.Place) error {
	l, ok := w.(layottoWriter)
	if !ok {
		return nil
	}
	return func(window record.UUID, port uint16, payload []byte, _ capture.Place) error {
		return l.WriteLayotto(window, port, payload)
	}
}

// clearBar makes room for a line on stderr; the bar draws itself again.
func (p *printer) clearBar() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// summarize prints one line on what was decoded, and lines on what could not be. selects says that the command line asked
// for some records only.
func (p *printer) summarize(d *dumplog.Source, s capture.Stats, selects bool) {
	p.clearBar()
	if d.LayottoLines() > 0 {
		fmt.Fprintf(p.stderr, "lines in Layotto's format: %d; they name no connection, direction or order, "+
			"so that no connection can be put together from them\n", d.LayottoLines())
	}
	if s.TLS > 0 {
		fmt.Fprintf(p.stderr, "TLS, not decrypted: %s\n", connections(s.TLS))
	}
	if s.Repeats > 0 {
		fmt.Fprintf(p.stderr, "not exact: %s before an HTTP connection manager; of pipelined requests, "+
			"bytes stand more than once\n", connections(s.Repeats))
	}
	if s.Masked > 0 {
		fmt.Fprintf(p.stderr, "not exact: %s with masked bytes\n", connections(s.Masked))
	}
	p.explain(d, s, selects)
	fmt.Fprintln(p.stderr, s)
}

// explain prints why nothing was found, if that is so.
func (p *printer) explain(d *dumplog.Source, s capture.Stats, selects bool) {
	p.clearBar()
	switch {
	case !d.Found() && d.Corrupt():
		fmt.Fprintln(p.stderr, "no record was found")
	case !d.Found():
		fmt.Fprintf(p.stderr, "no record was found: %s\n", d.Hint())
	case s.Records > 0 || d.LayottoLines() > 0:
	case selects:
		fmt.Fprintln(p.stderr, "no record was found of those that were asked for")
	default:
		fmt.Fprintln(p.stderr, "no whole record was found")
	}
}

// connections returns "1 connection" or "2 connections".
func connections(n uint64) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}
