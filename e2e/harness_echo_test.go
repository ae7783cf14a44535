package e2e

import (
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/strategy"
)

// echoLoad exchanges bytes with an echo service on several connections for some time.
type echoLoad struct {
	connections int
	exchange    int           // bytes each time
	pause       time.Duration // between the exchanges
	lasts       time.Duration
	watch       func() int64 // a value of which the peak is of interest
}

// echoed is what a load did.
type echoed struct {
	sent   map[string]uint64 // bytes by the client's address
	bytes  uint64            // both directions
	took   time.Duration
	unused time.Duration // in which no connection exchanged anything, beyond what the budget saves up
	peak   int64
}

func (l *echoLoad) run(t *testing.T, p *proxy) *echoed {
	t.Helper()
	var (
		done   = &echoed{sent: map[string]uint64{}}
		mu     sync.Mutex
		times  []time.Time
		faults []error
		wait   sync.WaitGroup
		begun  = time.Now()
	)
	for i := range l.connections {
		payload := randomBytes(uint64(i), l.exchange)
		wait.Go(func() {
			source, sent, err := l.converse(p.address(listenerName), payload, begun.Add(l.lasts), func() {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Now())
			})
			mu.Lock()
			defer mu.Unlock()
			done.sent[source] = sent
			done.bytes += 2 * sent
			if err != nil {
				faults = append(faults, err)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		wait.Wait()
		close(ended)
	}()
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(20 * time.Millisecond):
		}
		if l.watch != nil {
			done.peak = max(done.peak, l.watch())
		}
	}
	done.took = time.Since(begun)
	require.Empty(t, faults)
	require.Len(t, done.sent, l.connections)
	slices.SortFunc(times, time.Time.Compare)
	last := begun
	for _, at := range times {
		done.unused += max(0, at.Sub(last)-strategy.BudgetBurst)
		last = at
	}
	return done
}

func (l *echoLoad) converse(address string, payload []byte, end time.Time, exchanged func()) (source string, sent uint64, err error) {
	c, err := connect(address)
	if err != nil {
		return "", 0, err
	}
	defer c.Close()
	for time.Now().Before(end) {
		if err := exchange(c, payload); err != nil {
			return endsOf(c), sent, err
		}
		sent += uint64(len(payload))
		exchanged()
		time.Sleep(l.pause)
	}
	if err := c.CloseWrite(); err != nil {
		return "", sent, err
	}
	_, err = io.Copy(io.Discard, c)
	return endsOf(c), sent, err
}
