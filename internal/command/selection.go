package command

import (
	"strconv"

	"github.com/spf13/pflag"

	"l4dump/internal/capture"
	"l4dump/record"
)

// selection is the flags that select a part of a recording.
type selection struct {
	conns   []string
	ports   []string
	windows []string
}

func (s *selection) define(f *pflag.FlagSet) {
	f.StringSliceVar(&s.conns, "conn", nil, "only this connection (repeatable)")
	f.StringSliceVar(&s.ports, "port", nil, "only connections to this port (repeatable)")
	f.StringSliceVar(&s.windows, "window", nil, "only records of this window (repeatable)")
}

// given reports whether there is such a flag on the command line.
func (s *selection) given() bool { return len(s.conns)+len(s.ports)+len(s.windows) > 0 }

// filter returns what the flags select, and tells fault what is wrong with them.
func (s *selection) filter(fault func(format string, args ...any)) (filter capture.Filter) {
	for _, text := range s.conns {
		id, ok := record.ParseConnID(text)
		if !ok {
			fault("--conn is %q; wanted an identifier like 9f0c6a1be3d2a417-2a", text)
		}
		filter.Conns = append(filter.Conns, id)
	}
	for _, text := range s.ports {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			fault("--port is %q; wanted 0 to 65535", text)
		}
		filter.Ports = append(filter.Ports, uint16(port))
	}
	for _, text := range s.windows {
		id, ok := record.ParseUUID(text)
		if !ok {
			fault("--window is %q; wanted an identifier like 01a20600-4250-801e-ac34-64756d700000", text)
		}
		filter.Windows = append(filter.Windows, id)
	}
	return filter
}
