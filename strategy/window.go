package strategy

const nanosecondsPerSecond = 1_000_000_000

// Window is a sampling window. Where windows stand follows from the wall clock, so that all workers, the sidecar and all
// pods have the same ones without talking.
type Window struct {
	Start    int64 // seconds since the Unix epoch; unless windows are spread, a multiple of Interval
	Interval int64 // seconds
}

// WindowAt returns the window that began last at now, in nanoseconds since the Unix epoch, and whether it is still open.
func WindowAt(now int64, s Strategy) (w Window, open bool) {
	if now < 0 || s.Interval <= 0 {
		return Window{Interval: s.Interval}, false
	}
	second := now / nanosecondsPerSecond
	number := second / s.Interval
	start := s.windowStart(number)
	if start > second { // this interval's window is still to come
		start = s.windowStart(number - 1)
	}
	return Window{Start: start, Interval: s.Interval}, second-start < s.Duration
}

// Next returns where the window after w begins, in seconds since the Unix epoch.
func (s Strategy) Next(w Window) int64 { return s.windowStart(w.Start/s.Interval + 1) }

// windowStart returns where the window of the interval with that number begins, in seconds since the Unix epoch. It lies
// within its interval.
func (s *Strategy) windowStart(number int64) int64 {
	start := number * s.Interval
	if s.Spread {
		start += int64(mix(uint64(number)^uint64(s.Interval)<<32) % uint64(s.Interval-s.Duration+1))
	}
	return start
}

// mix spreads numbers that follow one another over all of 64 bits: the last steps of SplitMix64.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
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

// WindowOf returns the window that an identifier stands for. ok is false if UUID does not return such an identifier.
func WindowOf(id [16]byte) (w Window, ok bool) {
	ms := uint64(0)
	for _, b := range id[:6] {
		ms = ms<<8 | uint64(b)
	}
	w = Window{Start: int64(ms / 1000), Interval: int64(id[6]&0x0f)<<8 | int64(id[7])}
	return w, w.UUID() == id && w.Interval > 0
}
