package capture

// The colors are ECMA-48's "select graphic rendition".
const (
	colorNone       = "\x1b[0m"
	colorConnection = "\x1b[1m"  // bold
	colorDownstream = "\x1b[36m" // cyan
	colorUpstream   = "\x1b[33m" // yellow
	colorMarked     = "\x1b[7m"  // inverse
	colorUnmarked   = "\x1b[27m"
)

func colorOf(d Direction) string {
	if d == Upstream {
		return colorUpstream
	}
	return colorDownstream
}

// paint colors text for a terminal, or leaves it as it is.
type paint struct {
	color bool
	marks map[ID]*Marks
}

func (p *paint) begin(dst []byte, color string) []byte {
	if p.color {
		return append(dst, color...)
	}
	return dst
}

func (p *paint) end(dst []byte) []byte { return p.begin(dst, colorNone) }

// marksOf returns what is marked of a connection, nil if nothing shows.
func (p *paint) marksOf(id ID) *Marks {
	if !p.color {
		return nil
	}
	return p.marks[id]
}

// marker puts the color of marked bytes around them.
type marker struct {
	ranges []Range
	on     bool
}

// at appends what comes before the byte at offset. Offsets ascend, unless the same ranges are set again.
func (m *marker) at(dst []byte, offset uint64) []byte {
	for len(m.ranges) > 0 && m.ranges[0].End <= offset {
		m.ranges = m.ranges[1:]
	}
	if len(m.ranges) > 0 && m.ranges[0].First <= offset {
		if !m.on {
			m.on = true
			return append(dst, colorMarked...)
		}
		return dst
	}
	return m.off(dst)
}

// off ends the color.
func (m *marker) off(dst []byte) []byte {
	if !m.on {
		return dst
	}
	m.on = false
	return append(dst, colorUnmarked...)
}
