package capture

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/record"
)

// TestChoice chooses among connections 1 to 4, which begin in this order and end in another.
func TestChoice(t *testing.T) {
	recorders := make([]*recorder, 5)
	var log []string
	for i := 1; i < len(recorders); i++ {
		recorders[i] = newRecorder(record.ConnID{VM: 1, Number: uint64(i)})
		recorders[i].header.Time += int64(i)
		log = append(log, recorders[i].open())
	}
	for i, said := range map[int][2]string{1: {"hello", "12345"}, 2: {"he", "llo"}, 3: {"hel", ""}, 4: {"", "x hello hello"}} {
		log = append(log, recorders[i].data(record.Downstream, said[0]), recorders[i].data(record.Upstream, said[1]))
	}
	log = append(log, recorders[3].data(record.Downstream, "lo!"))
	for _, i := range []int{4, 2, 1} { // 3 is still open
		log = append(log, recorders[i].close())
	}
	pattern := func(text string) *Pattern {
		p, err := ParsePattern(text)
		require.NoError(t, err)
		return p
	}
	for _, row := range []struct {
		name   string
		choice Choice
		want   map[uint64]Marks
	}{
		{"nothing to choose by", Choice{}, map[uint64]Marks{1: {}, 2: {}, 3: {}, 4: {}}},
		{"a pattern, in one direction", Choice{Pattern: pattern("hello")}, map[uint64]Marks{1: {}, 3: {}, 4: {}}},
		{
			"a pattern with marks",
			Choice{Pattern: pattern("hello"), Marks: true},
			map[uint64]Marks{1: {{{0, 5}}, nil}, 3: {{{0, 5}}, nil}, 4: {nil, {{2, 7}, {8, 13}}}},
		},
		{"a pattern that nothing has", Choice{Pattern: pattern("re:h{2}")}, map[uint64]Marks{}},
		{"the last one", Choice{Last: 1}, map[uint64]Marks{4: {}}},
		{"the last two", Choice{Last: 2}, map[uint64]Marks{3: {}, 4: {}}},
		{"more than there are", Choice{Last: 5}, map[uint64]Marks{1: {}, 2: {}, 3: {}, 4: {}}},
		{"the largest", Choice{Largest: 1}, map[uint64]Marks{4: {}}},
		{"the two largest", Choice{Largest: 2}, map[uint64]Marks{1: {}, 4: {}}},
		{"the last one with a pattern", Choice{Pattern: pattern("12"), Last: 1}, map[uint64]Marks{1: {}}},
		{
			"the largest one with a pattern, and its marks",
			Choice{Pattern: pattern("re:hello?"), Largest: 1, Marks: true},
			map[uint64]Marks{4: {nil, {{2, 7}, {8, 13}}}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := NewAssembler(&row.choice, Options{})
			require.NoError(t, recordLines(log).Read(t.Context(), a))
			require.NoError(t, a.Finish())
			got := map[uint64]Marks{}
			marks := 0
			for id, m := range row.choice.Chosen() {
				got[id.Number] = *m
				marks += len(m[0]) + len(m[1])
			}
			require.Equal(t, row.want, got)
			require.Equal(t, marks, row.choice.marks, "what is not chosen has none")
		})
	}
}

// TestSpool holds that what is moved to a file is written like what is not.
func TestSpool(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var log []string
	recorders := []*recorder{newRecorder(connA), newRecorder(connB)}
	for _, r := range recorders {
		log = append(log, r.open())
	}
	for i := range 100 {
		log = append(log, recorders[i%2].data(record.Direction(i/2%2), strings.Repeat("x", i)))
	}
	log = append(log, recorders[1].close())
	written := func(max int) (text string, moved int64) {
		var out strings.Builder
		w := NewConversationWriter(&out, false)
		w.spool.max = max
		_, err := Read(t.Context(), w, Options{}, recordLines(log))
		require.NoError(t, err)
		require.Zero(t, w.spool.held)
		require.Empty(t, w.spool.texts)
		moved = w.spool.size
		require.NoError(t, w.Close())
		return out.String(), moved
	}
	want, moved := written(1 << 20)
	require.Zero(t, moved)
	require.Less(t, strings.Index(want, connB.String()), strings.Index(want, connA.String()), "in the order of their ends")
	for _, max := range []int{0, 1, 1000, 5000} {
		got, moved := written(max)
		require.Equal(t, want, got)
		require.Positive(t, moved)
		require.LessOrEqual(t, moved, int64(len(want)))
	}
	require.Empty(t, contents(t, temporary), "the file has no name")

	t.Setenv("TMPDIR", temporary+"/no")
	w := NewConversationWriter(&strings.Builder{}, false)
	w.spool.max = 0
	_, err := Read(t.Context(), w, Options{}, recordLines(slices.Clone(log)))
	require.ErrorContains(t, err, "keep conversations in a temporary file: ")
}
