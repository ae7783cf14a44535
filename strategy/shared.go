package strategy

// Shared is what all workers of a process share of one configuration's limits, and what one worker knows of it. Each
// configuration has one.
type Shared struct {
	_           incomparable
	SpentUntil  SharedNumber // the Budget's
	Live        *Headcount   // connections that are admitted and not closed; used if Capture.MaxConnections is set
	Window      SharedNumber // a window and its connections; used if Capture.MaxConnectionsPerWindow is set
	WindowBytes SharedNumber // a window and its portions of bytes; used if Capture.MaxBytesPerWindow is set

	full    Window // has had its connections
	retryAt int64  // before this, as many connections are live as may be
	quota   quota
}

// TakeBytes returns how many of n bytes may be recorded while w is the window that began last. Connections that are
// recorded whole take none of the others' if there are not all. Allocation-free.
func (s *Shared) TakeBytes(c *Capture, w Window, n int) int {
	q := &s.quota
	if c.MaxBytesPerWindow == 0 {
		return n
	}
	q.turn(w)
	if q.credit < int64(n) && q.left > 0 {
		s.portion(c, int64(n)-q.credit)
	}
	n = int(min(int64(n), q.credit))
	q.credit -= int64(n)
	return n
}

// GiveBack gives back bytes that TakeBytes returned last and that are not recorded. Allocation-free.
func (s *Shared) GiveBack(n int) { s.quota.credit += int64(n) }

// Begins reports whether something may begin to be recorded while w is the window that began last. The last eighth of a
// window's bytes is for connections that have begun, if they are recorded whole. Allocation-free.
func (s *Shared) Begins(c *Capture, w Window) bool {
	q := &s.quota
	switch {
	case c.MaxBytesPerWindow == 0:
		return true
	case c.Unit == UnitBytes:
		n := s.TakeBytes(c, w, 1)
		s.GiveBack(n)
		return n > 0
	}
	q.turn(w)
	rest := c.MaxBytesPerWindow / portionUnit / restOfLimit
	if q.left > rest {
		s.portion(c, 0)
	}
	return q.left+q.credit/portionUnit > rest
}

// quota is a worker's part of the bytes that the process may record from the beginning of one window to that of the next.
// It takes them in portions from a number that all workers share, so that most reads do not look at it. What it holds
// when the window ends is recorded by nobody.
type quota struct {
	window Window
	credit int64 // bytes in hand, of window
	left   int64 // portionUnits of window that nobody has taken, as seen last
}

const (
	// portionUnit is what the shared number counts, in bytes. A limit is rounded down to it.
	portionUnit = 1 << 10
	// portionsOfLimit is how many portions a limit is at least: workers hold less than that part of it each.
	portionsOfLimit = 256
	maxPortion      = 256 // portionUnits
	maxUnits        = MaxWindowBytes / portionUnit
	// restOfLimit is the part of a limit that is left for connections that have begun.
	restOfLimit = 8
)

// turn begins anew if w is another window.
func (q *quota) turn(w Window) {
	if w != q.window {
		q.window, q.credit, q.left = w, 0, maxUnits
	}
}

// portion takes a portion of at least need bytes, or, of UnitBytes, what there is; none if need is 0, so that only q.left
// is new.
func (s *Shared) portion(c *Capture, need int64) {
	q := &s.quota
	limit := c.MaxBytesPerWindow / portionUnit
	for range sharedAttempts {
		old, version := s.WindowBytes.Load()
		start, taken := countIn(q.window, old)
		q.left = limit - taken
		least := (need + portionUnit - 1) / portionUnit
		if need == 0 || q.left <= 0 || least > q.left && c.Unit != UnitBytes {
			return
		}
		units := min(max(least, min(limit/portionsOfLimit, maxPortion)), q.left)
		if s.WindowBytes.Store(start<<windowCountBits|(taken+units), version) {
			q.credit += units * portionUnit
			q.left -= units
			return
		}
	}
}

// joinWindow counts one more connection in window w, unless it has had its connections, and reports whether it did.
func (s *Shared) joinWindow(c *Capture, w Window) bool {
	for range sharedAttempts {
		old, version := s.Window.Load()
		start, count := countIn(w, old)
		if count >= c.MaxConnectionsPerWindow {
			s.full = w
			return false
		}
		if s.Window.Store(start<<windowCountBits|(count+1), version) {
			return true
		}
	}
	return false
}

// incomparable makes a structure that holds it one that cannot be compared. Without it the plugin would have a function
// that compares them: these are 0.5 KiB each.
type incomparable [0]func()

// windowCountBits are those of a count; above them is the start of its window.
const windowCountBits = 30

// countIn returns what number has counted in window w, and the start that is to be stored with the count: w's, or that
// of the window after it, in which another worker is already.
func countIn(w Window, number int64) (start, count int64) {
	start, count = number>>windowCountBits, number&(1<<windowCountBits-1)
	if start < w.Start || start >= w.Start+2*w.Interval { // windows that are spread begin up to so far apart
		return w.Start, 0
	}
	return start, count
}
