package strategy

// Admission decides at a connection's birth whether it is recorded, so that a few connections are recorded whole if the
// budget does not allow all. It is one worker's; what it has promised and spent it shares with the others, in time as
// Budget does. What it admits does not depend on the connection, of which nothing is known yet:
//
//   - A connection is admitted once the allowance pays for what connections cost lately. That much is reserved for it.
//   - Its bytes use up the reservation, and are charged after that. They are recorded even though the allowance is in
//     debt, and nothing more is admitted until the debt is paid.
//   - If the debt reaches its bound, the youngest are given up.
//   - What was reserved and not used is given back at its end, or after reservationTime.
//
// The zero Admission has seen nothing. Its methods are allocation-free, and none but Take, Admit and Close uses shared
// numbers, and those only for a share of the allowance, an admitted connection, or after retryTime.
type Admission struct {
	_         incomparable
	costs     estimate
	bytes     int64 // cost of payload, of the connections seen lately; with lines, tells which limit binds
	lines     int64
	spent     int64  // the shared SpentUntil, as seen last
	owed      int64  // to be added to it; less than 0 is to be given back
	retryAt   int64  // before this, nothing is admitted
	refusal   Reason // and this is why
	giveUpAt  int64  // the debt at which the next is given up
	youngest  *Claim // of those admitted
	reserving *Claim // the oldest whose reservation has not been given back
	until     int64  // the least Claim.Until of those admitted, or of those that were; 0 if none has one
}

// Claim is one connection's part of an Admission. The zero Claim is not admitted.
type Claim struct {
	_     incomparable
	Until int64 // when it is given up, 0 is never: Capture.MaxConnectionTime after the connection's birth

	shared         *Shared // of its configuration
	reason         Reason  // why it is not recorded, or Recorded
	live           bool    // admitted, and not given up
	counted        bool    // in Shared.Live
	cost           int64   // of everything, recorded or not
	added          int64   // the cost with which the estimate has it, 0 if it has not
	reserved       int64
	born           int64
	older, younger *Claim
}

const (
	// maxPriority is the most that admitted connections may spend ahead, in nanoseconds, and priorityBytes what they
	// may with a lower limit: a connection of that size is recorded whole however fast it comes.
	maxPriority   = 10 * nanosecondsPerSecond
	priorityBytes = 8 << 20

	// enough saved up admits a connection that costs more. All that may be saved is never there while others write.
	enough = BudgetBurst / 2
	// firstCost is what connections are taken to cost before any is known: one is admitted of those that come at once.
	firstCost = BudgetBurst
	// reservationTime is how long a reservation is held, so that a connection that is quiet holds nothing. After
	// settlingTime it is no more than what the connection spends in the rest of reservationTime at its rate so far.
	reservationTime = 2 * nanosecondsPerSecond
	settlingTime    = reservationTime / 4
	// retryTime bounds how often a worker looks for what others have given back.
	retryTime = nanosecondsPerSecond / 100

	controlLines = 4   // of a connection: its open, two ends, its close
	controlBytes = 256 // what such a line counts as if lines are not limited
)

// Reason returns why the connection is not recorded, or Recorded. It changes when the connection is given up.
func (l *Claim) Reason() Reason { return l.reason }

// Over reports whether the connection has had its time. Allocation-free.
func (l *Claim) Over(now int64) bool { return l.Until != 0 && now >= l.Until }

// Admit decides whether a connection that is born at now, in window w, is recorded, and returns why not, or Recorded. l
// is a new Claim, zero but for Until. It must be closed.
func (a *Admission) Admit(c *Capture, shared *Shared, w Window, l *Claim, now int64) Reason {
	l.shared, l.born = shared, now
	l.cost = controlLines * c.controlCost()
	l.reason = a.admit(c, shared, w, l, now)
	if l.reason != Recorded {
		return l.reason
	}
	l.live = true
	l.older = a.youngest
	if a.youngest != nil {
		a.youngest.younger = l
	}
	a.youngest = l
	if a.reserving == nil {
		a.reserving = l
	}
	a.watch(l)
	return Recorded
}

func (a *Admission) admit(c *Capture, shared *Shared, w Window, l *Claim, now int64) Reason {
	switch {
	case c.MaxConnectionsPerWindow > 0 && w == shared.full:
		return WindowConnections
	case c.MaxConnections > 0 && waiting(shared.retryAt, now):
		return Connections
	case c.limited() && waiting(a.retryAt, now):
		return a.refusal
	case !shared.Begins(c, w):
		return WindowBytes
	}
	if c.limited() {
		want := a.costs.Cost()
		if a.costs.total == 0 {
			want = firstCost
		}
		want = min(max(want, l.cost), c.priority()/2)
		if !a.reserve(shared, want, now) {
			a.refusal = BudgetBytes
			if a.lines > a.bytes || c.MaxBytesPerSecond == 0 {
				a.refusal = BudgetLines
			}
			return a.refusal
		}
		l.reserved = want
	}
	if c.MaxConnections > 0 {
		if !shared.Live.Join(c.MaxConnections, now) {
			shared.retryAt = now + retryTime
			a.release(l, now)
			return Connections
		}
		l.counted = true
	}
	if c.MaxConnectionsPerWindow > 0 && !shared.joinWindow(c, w) {
		a.release(l, now)
		l.leave(now)
		return WindowConnections
	}
	l.reserved = max(l.reserved-l.cost, 0) // the records that it has in any case are as good as written
	return Recorded
}

// waiting reports whether retryAt is still to come. Later than retryTime, the clock was set back.
func waiting(retryAt, now int64) bool { return now < retryAt && retryAt <= now+retryTime }

// reserve takes want of the shared allowance if there is as much, or if enough of it is saved up.
func (a *Admission) reserve(shared *Shared, want, now int64) bool {
	for range sharedAttempts {
		spent, version := shared.SpentUntil.Load()
		start := max(begin(spent, now)+a.owed, now-BudgetBurst)
		need := min(want, enough)
		if now-start < need {
			a.retryAt = min(start+need, now+retryTime)
			return false
		}
		if shared.SpentUntil.Store(start+want, version) {
			a.spent, a.owed = start+want, 0
			return true
		}
	}
	return false
}

// Count takes that a connection which is not recorded has had a read of n bytes, of which a line takes up to most. What
// comes after its time is no cost of connections.
func (a *Admission) Count(c *Capture, l *Claim, n, most int) {
	if l.reason != ConnectionTime {
		a.count(c, l, n, most)
	}
}

// Take pays for a read of n bytes of an admitted connection at now, of which a line takes up to most, and w is the window
// that began last. It returns Recorded, or that the connection is given up.
func (a *Admission) Take(c *Capture, w Window, l *Claim, n, most int, now int64) Reason {
	if l.reason != Recorded {
		return l.reason
	}
	if taken := l.shared.TakeBytes(c, w, n); taken < n {
		l.shared.GiveBack(taken)
		a.giveUp(l, WindowBytes, now)
		return l.reason
	}
	if a.pay(c, l, n, most, now) != Recorded {
		l.shared.GiveBack(n)
	}
	return l.reason
}

// pay is Take for the limits per second.
func (a *Admission) pay(c *Capture, l *Claim, n, most int, now int64) Reason {
	if !c.limited() {
		return Recorded
	}
	cost := a.count(c, l, n, most)
	used := min(cost, l.reserved)
	l.reserved -= used
	cost -= used
	if cost == 0 {
		return Recorded
	}
	a.owed += cost
	if a.owed >= BudgetShare {
		a.settle(l.shared.SpentUntil, now)
	}
	bound := c.priority()
	debt := a.spent + a.owed - now
	if debt < bound/2 {
		a.giveUpAt = 0
		return Recorded
	}
	// The youngest are given up one by one as the debt rises, since what each frees shows only with time.
	if debt >= max(a.giveUpAt, bound/2) && a.youngest != nil && a.youngest.older != nil {
		a.giveUpAt = debt + bound/8
		a.giveUp(a.youngest, OverBudget, now)
	}
	if l.live && debt >= bound {
		a.giveUp(l, OverBudget, now)
	}
	if l.reason != Recorded { // none of these bytes is recorded
		a.owed -= cost
	}
	return l.reason
}

// Outlive gives up the recording of an admitted connection that has had its time.
func (a *Admission) Outlive(l *Claim, now int64) {
	if l.live {
		a.giveUp(l, ConnectionTime, now)
	}
}

// giveUp ends the recording of l.
func (a *Admission) giveUp(l *Claim, reason Reason, now int64) {
	l.reason = reason
	a.remove(l)
	a.release(l, now)
	l.leave(now)
}

// Close takes that the connection has ended.
func (a *Admission) Close(c *Capture, l *Claim, now int64) {
	if c.limited() && l.born != 0 {
		if l.added == 0 {
			a.costs.Add(l.cost)
		} else {
			a.costs.Replace(l.added, l.cost)
		}
	}
	if l.live {
		a.remove(l)
		a.release(l, now)
	}
	l.leave(now)
}

// Expire gives up the connections that have had their time, and gives back what is reserved and will not be used in
// reservationTime. It is called on each tick. spentUntil is the Budget's.
func (a *Admission) Expire(spentUntil SharedNumber, now int64) {
	if a.until != 0 && now >= a.until {
		a.outlive(now)
	}
	for l := a.reserving; l != nil; l = l.younger {
		age := now - l.born
		if age >= 0 && age < settlingTime {
			break
		}
		keep := int64(0)
		if age >= 0 && age < reservationTime {
			keep = min(l.reserved, l.cost/(age/millisecond)*((reservationTime-age)/millisecond))
		} else {
			a.reserving = l.younger
		}
		a.owed -= l.reserved - keep
		l.reserved = keep
	}
	a.settle(spentUntil, now)
}

// outlive gives up the connections that have had their time, also those that are quiet, so that others can be live.
func (a *Admission) outlive(now int64) {
	a.until = 0
	for l := a.youngest; l != nil; {
		older := l.older
		if l.Over(now) {
			a.Outlive(l, now)
		} else {
			a.watch(l)
		}
		l = older
	}
}

// watch lets Expire look for l's time.
func (a *Admission) watch(l *Claim) {
	if l.Until != 0 && (a.until == 0 || l.Until < a.until) {
		a.until = l.Until
	}
}

const millisecond = nanosecondsPerSecond / 1000

// remove takes l from the list of those admitted.
func (a *Admission) remove(l *Claim) {
	if a.reserving == l {
		a.reserving = l.younger
	}
	if l.younger != nil {
		l.younger.older = l.older
	} else {
		a.youngest = l.older
	}
	if l.older != nil {
		l.older.younger = l.younger
	}
	l.live, l.older, l.younger = false, nil, nil
}

// release gives back what is reserved for l.
func (a *Admission) release(l *Claim, now int64) {
	if l.reserved > 0 {
		a.owed -= l.reserved
		l.reserved = 0
		if a.refusal == BudgetBytes || a.refusal == BudgetLines {
			a.retryAt = 0
		}
	}
	if a.owed <= -BudgetShare || a.owed >= BudgetShare {
		a.settle(l.shared.SpentUntil, now)
	}
}

// leave takes l from those that are live in the whole process.
func (l *Claim) leave(now int64) {
	if l.counted {
		l.counted = false
		l.shared.retryAt = 0
		l.shared.Live.Leave(now)
	}
}

// settle adds to the shared number what is owed. If other workers are faster, it stays owed.
func (a *Admission) settle(spentUntil SharedNumber, now int64) {
	if a.owed == 0 {
		return
	}
	for range sharedAttempts {
		spent, version := spentUntil.Load()
		next := begin(spent, now) + a.owed
		if spentUntil.Store(next, version) {
			a.spent, a.owed = next, 0
			return
		}
	}
}

// count adds the cost of a read to the connection's, and returns it.
func (a *Admission) count(c *Capture, l *Claim, n, most int) int64 {
	if !c.limited() {
		return 0
	}
	full, rest := int64(n/most), n%most
	cost := full * c.lineCost(most)
	lines := full
	if rest > 0 {
		cost += c.lineCost(rest)
		lines++
	}
	a.bytes += costOf(int64(n), c.MaxBytesPerSecond)
	a.lines += lines * costOf(1, c.MaxLinesPerSecond)
	if a.bytes > nanosecondsPerSecond || a.lines > nanosecondsPerSecond {
		a.bytes, a.lines = a.bytes/2, a.lines/2
	}
	l.cost += cost
	// One that lives long counts for what it has cost so far, if that is more than is expected.
	switch {
	case l.added != 0 && l.cost >= 2*l.added:
		a.costs.Replace(l.added, l.cost)
		l.added = l.cost
	case l.added == 0 && l.cost >= max(a.costs.Cost(), firstCost/2):
		a.costs.Add(l.cost)
		l.added = l.cost
	}
	return cost
}

// controlCost returns the cost of a record that carries no payload.
func (c *Capture) controlCost() int64 {
	if c.MaxLinesPerSecond == 0 {
		return c.lineCost(controlBytes)
	}
	return costOf(1, c.MaxLinesPerSecond)
}

// priority returns how far ahead admitted connections may spend, in nanoseconds.
func (c *Capture) priority() int64 {
	return max(maxDebt, min(costOf(priorityBytes, c.MaxBytesPerSecond), maxPriority))
}
