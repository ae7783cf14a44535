package usage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a Source that returns one result after the other, and the last again and again.
type script struct {
	results []error // nil is a reading, note one with a note
	reads   atomic.Int64
}

func (s *script) Read(context.Context) (Reading, error) {
	n := int(s.reads.Add(1))
	err := s.results[min(n, len(s.results))-1]
	var said note
	if err != nil && !errors.As(err, &said) {
		return Reading{}, err
	}
	f := Figure{Percent: float64(n), Source: "script", Taken: time.Now()}
	return Reading{CPU: f, Memory: f, Note: string(said)}, nil
}

// note is the note of a reading, among a script's results.
type note string

func (n note) Error() string { return string(n) }

// startSampler runs a sampler in a synctest bubble until the test ends.
func startSampler(t *testing.T, source Source, o SamplerOptions) *Sampler {
	t.Helper()
	s, err := NewSampler(source, o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return s
}

func TestSamplerReadsEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &script{results: []error{ErrNoInterval, nil}}
		s := startSampler(t, source, SamplerOptions{})

		synctest.Wait()
		_, ok := s.Latest()
		require.False(t, ok, "one sample is no reading")
		require.EqualValues(t, 1, source.reads.Load(), "it reads at once")

		time.Sleep(DefaultInterval - time.Nanosecond)
		synctest.Wait()
		require.EqualValues(t, 1, source.reads.Load())

		time.Sleep(time.Nanosecond)
		synctest.Wait()
		got, ok := s.Latest()
		require.True(t, ok)
		require.Equal(t, 2.0, got.CPU.Percent)
		require.Equal(t, time.Now(), got.CPU.Taken)

		for range 1000 {
			s.Latest()
		}
		require.EqualValues(t, 2, source.reads.Load(), "asking reads nothing")

		time.Sleep(10 * DefaultInterval)
		synctest.Wait()
		require.EqualValues(t, 12, source.reads.Load())
	})
}

func TestSamplerKeepsReadingThatAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		s := startSampler(t, &script{results: []error{nil, broken, broken, nil}}, SamplerOptions{Interval: 2 * time.Second})
		synctest.Wait()
		first, ok := s.Latest()
		require.True(t, ok)

		time.Sleep(4 * time.Second)
		synctest.Wait()
		got, ok := s.Latest()
		require.True(t, ok)
		require.Equal(t, first, got)
		require.Equal(t, 4*time.Second, time.Since(got.CPU.Taken))

		time.Sleep(2 * time.Second)
		synctest.Wait()
		got, ok = s.Latest()
		require.True(t, ok)
		require.Equal(t, 4.0, got.CPU.Percent)
	})
}

func TestSamplerReportsChanges(t *testing.T) {
	one, other, note := errors.New("one"), errors.New("other"), note("note")
	tests := []struct {
		name    string
		results []error
		want    []string // errors, and notes in brackets
	}{
		{name: "good", results: []error{nil, nil}, want: []string{"()"}},
		{name: "first sample", results: []error{ErrNoInterval, nil, ErrNoInterval, nil}, want: []string{"()"}},
		{name: "failing", results: []error{nil, one, one, one}, want: []string{"()", "one"}},
		{name: "failing at once", results: []error{one, one, nil, nil}, want: []string{"one", "()"}},
		{name: "another reason", results: []error{one, other, other, one}, want: []string{"one", "other", "one"}},
		{
			name:    "no interval between",
			results: []error{nil, one, ErrNoInterval, one, fmt.Errorf("again: %w", ErrNoInterval), nil},
			want:    []string{"()", "one", "()"},
		},
		{name: "no interval at the end", results: []error{one, ErrNoInterval}, want: []string{"one"}},
		{name: "a note", results: []error{nil, note, note, nil}, want: []string{"()", "(note)", "()"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				s := startSampler(t, &script{results: tt.results}, SamplerOptions{
					Changed: func(r Reading, err error) {
						if err != nil {
							got = append(got, err.Error())
							return
						}
						got = append(got, "("+r.Note+")")
					},
				})
				time.Sleep(time.Duration(len(tt.results)) * DefaultInterval)
				synctest.Wait()
				require.Equal(t, tt.want, got)
				if last := got[len(got)-1]; !strings.HasPrefix(last, "(") {
					require.EqualError(t, s.Failure(), last)
					return
				}
				require.NoError(t, s.Failure())
			})
		})
	}
}

// slow is a Source whose second reading takes a minute.
type slow struct{ script }

func (s *slow) Read(ctx context.Context) (Reading, error) {
	if s.reads.Load() == 1 {
		time.Sleep(time.Minute)
	}
	return s.script.Read(ctx)
}

func TestSamplerSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &slow{script: script{results: []error{nil}}}
		s := startSampler(t, source, SamplerOptions{})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		got, ok := s.Latest()
		require.True(t, ok)
		require.Equal(t, 30*time.Second, time.Since(got.CPU.Taken))

		time.Sleep(31*time.Second + 500*time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 3, source.reads.Load(), "missed ticks are not made up for")
	})
}

func TestSamplerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s, err := NewSampler(&script{results: []error{context.Canceled}}, SamplerOptions{
			Changed: func(_ Reading, err error) { t.Errorf("reported %v: the end is no failure", err) },
		})
		require.NoError(t, err)
		s.Run(ctx)
	})
}

func TestNewSamplerInterval(t *testing.T) {
	tests := []struct {
		name     string
		interval time.Duration
		err      string
	}{
		{name: "default", interval: 0},
		{name: "least", interval: MinInterval},
		{name: "less", interval: MinInterval - 1, err: "read sample interval: want 50ms or more, got 49.999999ms"},
		{name: "negative", interval: -time.Second, err: "read sample interval: want 50ms or more, got -1s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewSampler(&script{}, SamplerOptions{Interval: tt.interval})
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
		})
	}
}

// TestSamplerConcurrent is for the race detector: a reading is whole, whoever asks for it.
func TestSamplerConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSampler(t, &script{results: []error{nil}}, SamplerOptions{Interval: MinInterval})
		var askers sync.WaitGroup
		for range 8 {
			askers.Go(func() {
				for range 100 {
					if got, ok := s.Latest(); ok && got.CPU != got.Memory {
						t.Errorf("torn reading %v", got)
					}
					time.Sleep(MinInterval / 3)
				}
			})
		}
		askers.Wait()
	})
}

func BenchmarkSamplerLatest(b *testing.B) {
	s, err := NewSampler(&script{}, SamplerOptions{})
	require.NoError(b, err)
	s.latest.Store(&Reading{Scope: ScopeHost})
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Latest(); !ok {
			b.Fatal("no reading")
		}
	}
}

func TestLeastStaleAfter(t *testing.T) {
	require.Equal(t, 2*time.Second, LeastStaleAfter(time.Second, 0))
	require.Equal(t, 3*time.Second, LeastStaleAfter(time.Second, time.Second))
}
