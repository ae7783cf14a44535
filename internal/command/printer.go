package command

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"

	"l4dump/internal/capture"
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

// printer is a capture.Handler that writes records to writer and faults to stderr.
type printer struct {
	writer capture.Writer
	stderr io.Writer
	bar    *progressbar.ProgressBar // nil: none is shown
}

// Record implements capture.Handler.
func (p *printer) Record(r *record.Record, _ capture.Place) error { return p.writer.WriteRecord(r) }

// Layotto implements capture.Handler.
func (p *printer) Layotto(window record.UUID, port uint16, payload []byte, _ capture.Place) error {
	return p.writer.WriteLayotto(window, port, payload)
}

// Fault implements capture.Handler.
func (p *printer) Fault(f capture.Fault) {
	p.clearBar()
	fmt.Fprintln(p.stderr, f)
}

// Flush implements capture.Handler.
func (p *printer) Flush() error { return p.writer.Flush() }

// clearBar makes room for a line on stderr; the bar draws itself again.
func (p *printer) clearBar() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// summarize prints one line on what was decoded, and one on what could not be.
func (p *printer) summarize(s capture.Stats) {
	p.clearBar()
	if s.LayottoLines > 0 {
		fmt.Fprintf(p.stderr, "lines in Layotto's format: %d; they name no connection, direction or order, "+
			"so that no connection can be put together from them\n", s.LayottoLines)
	}
	if s.Records == 0 && s.LayottoLines == 0 {
		fmt.Fprintln(p.stderr, "no record was found, or none that was asked for")
	}
	fmt.Fprintln(p.stderr, s)
}
