package strategy

const nanosecondsPerSecond = 1_000_000_000

// Window is a sampling window. Windows are aligned to the wall clock, so that all workers, the sidecar and all pods
// have the same ones without talking.
type Window struct {
	Start    int64 // seconds since the Unix epoch, a multiple of Interval
	Interval int64 // seconds
}

// WindowAt returns the window that began last at now, in nanoseconds since the Unix epoch, and whether it is still open.
func WindowAt(now int64, s Strategy) (w Window, open bool) {
	if now < 0 || s.Interval <= 0 {
		return Window{Interval: s.Interval}, false
	}
	second := now / nanosecondsPerSecond
	start := second - second%s.Interval
	return Window{Start: start, Interval: s.Interval}, second-start < s.Duration
}

// UUID returns the window's identifier, a UUID of RFC 9562's version 8, in network byte order:
//
//	 0               6     8          10                      16
//	+---------------+-----+----------+------------------------+
//	| start in ms   | 8|i | 10|'l'   | '4' 'd' 'u' 'm' 'p' 0 0 |
//	+---------------+-----+----------+------------------------+
//
// start is in milliseconds since the Unix epoch, 48 bits, so that identifiers sort by time; i is the interval in
// seconds, 12 bits; the 6 bits after the variant are the low bits of 'l'.
func (w Window) UUID() (id [16]byte) {
	ms := uint64(w.Start) * 1000
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = 0x80 | byte(w.Interval>>8)&0x0f
	id[7] = byte(w.Interval)
	copy(id[8:], "l4dump")
	id[8] = 0x80 | id[8]&0x3f
	return id
}
