package inspect

import (
	"bytes"
	"cmp"
	"slices"

	"l4dump/record"
	"l4dump/strategy"
)

// maxWindows bounds the windows that are told apart. Of later ones, the records count elsewhere.
const maxWindows = 100_000

// window is a sampling window of which there are records.
type window struct {
	strategy.Window
	known       bool // the identifier says when the window begins
	connections uint64
	bytes       [2]uint64
	within      int64 // nanoseconds after the begin, the most at which something was recorded
}

// windows are the sampling windows of a recording.
type windows struct {
	byID   map[record.UUID]*window
	last   record.UUID // that was asked for, as records of one window follow one another
	latest *window
}

// of returns a window, or nil if there are too many, or id is none: other sources have no windows.
func (w *windows) of(id record.UUID) *window {
	if id == w.last {
		return w.latest
	}
	w.last, w.latest = id, w.byID[id]
	if w.latest == nil && len(w.byID) < maxWindows {
		w.latest = &window{}
		w.latest.Window, w.latest.known = strategy.WindowOf(id)
		w.byID[id] = w.latest
	}
	return w.latest
}

// recorded says that something was recorded at a time of which the window was open.
func (w *window) recorded(time int64) {
	const second = 1_000_000_000
	if after := time - w.Start*second; w.known && after > w.within && after <= w.Interval*second {
		w.within = after
	}
}

// report returns the windows in the order of their identifiers, which is that of their begins.
func (w *windows) report() []Window {
	ids := make([]record.UUID, 0, len(w.byID))
	for id := range w.byID {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b record.UUID) int { return bytes.Compare(a[:], b[:]) })
	all := make([]Window, 0, len(ids))
	for _, id := range ids {
		each := w.byID[id]
		row := Window{ID: string(id.Append(nil)), Connections: each.connections, Bytes: bytesOf(each.bytes)}
		if each.known {
			row.Start, row.Interval = timeText(each.Start*1_000_000_000), each.Interval
		}
		all = append(all, row)
	}
	return all
}

// intervals returns which of the windows there are that began from the first to the last.
func (w *windows) intervals() []Interval {
	type extent struct {
		first, last, within int64
		numbers             map[int64]bool
	}
	extents := map[int64]*extent{}
	for _, each := range w.byID {
		if !each.known {
			continue
		}
		number := each.Start / each.Interval
		e := extents[each.Interval]
		if e == nil {
			e = &extent{first: number, last: number, numbers: map[int64]bool{}}
			extents[each.Interval] = e
		}
		e.first, e.last, e.within = min(e.first, number), max(e.last, number), max(e.within, each.within)
		e.numbers[number] = true
	}
	var all []Interval
	for interval, e := range extents {
		all = append(all, Interval{
			Seconds:       interval,
			Windows:       Share{uint64(len(e.numbers)), uint64(e.last - e.first + 1)},
			WithinSeconds: seconds(e.within),
		})
	}
	slices.SortFunc(all, func(a, b Interval) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return all
}
