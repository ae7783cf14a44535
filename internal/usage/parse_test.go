package usage

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// parseCase is what a parser makes of a text.
type parseCase[T any] struct {
	name, text string
	want       T
	err        string
}

// testParse runs the cases, and holds that a parser repeats the error of its reader.
func testParse[T any](t *testing.T, parse func(io.Reader) (T, error), cases []parseCase[T]) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(strings.NewReader(tt.text))
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	t.Run("reader's error", func(t *testing.T) {
		broken := errors.New("broken")
		_, err := parse(iotest.ErrReader(broken))
		require.ErrorIs(t, err, broken)
	})
}

func TestParseCPUStat(t *testing.T) {
	testParse(t, parseCPUStat, []parseCase[cpuStat]{
		{
			name: "whole",
			text: "usage_usec 12\nuser_usec 7\nsystem_usec 5\nnr_periods 3\nnr_throttled 2\nthrottled_usec 9\n",
			want: cpuStat{usageMicroseconds: 12, throttling: throttling{periods: 3, throttled: 2}},
		},
		{name: "no controller", text: "usage_usec 12\n", want: cpuStat{usageMicroseconds: 12}},
		{name: "no end of line", text: "usage_usec 12", want: cpuStat{usageMicroseconds: 12}},
		{name: "lines to come", text: "new one two\nusage_usec 12\n", want: cpuStat{usageMicroseconds: 12}},
		{
			name: "largest", text: "usage_usec 18446744073709551615\n",
			want: cpuStat{usageMicroseconds: math.MaxUint64},
		},
		{
			name: "too large", text: "usage_usec 18446744073709551616\n",
			err: `want usage_usec and a number, got "usage_usec 18446744073709551616"`,
		},
		{name: "empty", err: "want one line with usage_usec and a number, got 0"},
		{
			name: "twice", text: "usage_usec 1\nusage_usec 2\n",
			err: "want one line with usage_usec and a number, got 2",
		},
		{name: "no value", text: "usage_usec\n", err: `want usage_usec and a number, got "usage_usec"`},
		{
			name: "optional one malformed", text: "usage_usec 1\nnr_throttled -2\n",
			err: `want nr_throttled and a number, got "nr_throttled -2"`,
		},
		{
			name: "long value", text: "usage_usec " + strings.Repeat("9", 80) + "\n",
			err: `want usage_usec and a number, got "usage_usec ` + strings.Repeat("9", 69) + `" and 11 bytes more`,
		},
		{
			name: "long line", text: strings.Repeat("x", 1<<16) + "\n",
			err: "find usage_usec: bufio.Scanner: token too long",
		},
	})
}

func TestParseCPUMax(t *testing.T) {
	testParse(t, parseCPUMax, []parseCase[quota]{
		{name: "one and a half", text: "150000 100000\n", want: quota{cpus: 1.5, period: 100 * time.Millisecond}},
		{name: "none", text: "max 100000\n", want: quota{cpus: math.Inf(1), period: 100 * time.Millisecond}},
		{name: "least", text: "1 1000000\n", want: quota{cpus: 1e-6, period: time.Second}},
		{name: "nothing", text: "0 100000\n", err: `want a quota in microseconds or "max", got "0 100000"`},
		{name: "no period", text: "max\n", err: `want a quota and a period, got "max"`},
		{name: "period of nothing", text: "max 0\n", err: `want a period in microseconds, got "max 0"`},
		{name: "period of no end", text: "1 max\n", err: `want a period in microseconds, got "1 max"`},
		{name: "three", text: "1 2 3\n", err: `want a period in microseconds, got "1 2 3"`},
		{name: "negative", text: "-1 100000\n", err: `want a quota in microseconds or "max", got "-1 100000"`},
		{name: "empty", err: `want a quota and a period, got ""`},
		{name: "two lines", text: "1 2\n3 4\n", err: `want one line, got "1 2\n3 4"`},
	})
}

func TestParseMax(t *testing.T) {
	testParse(t, parseMax, []parseCase[uint64]{
		{name: "bytes", text: "536870912\n", want: 536870912},
		{name: "nothing", text: "0\n", want: 0},
		{name: "none", text: "max\n", want: noLimit},
		{name: "negative", text: "-1\n", err: `want bytes or "max", got "-1"`},
		{name: "empty", text: "\n", err: `want bytes or "max", got ""`},
		{name: "capitals", text: "MAX\n", err: `want bytes or "max", got "MAX"`},
	})
}

func TestParseLimitInBytes(t *testing.T) {
	testParse(t, parseLimitInBytes, []parseCase[uint64]{
		{name: "bytes", text: "536870912\n", want: 536870912},
		{name: "none, pages of 4 KiB", text: "9223372036854771712\n", want: noLimit},
		{name: "none, pages of 64 KiB", text: "9223372036854710272\n", want: noLimit},
		{name: "largest limit", text: "4611686018427387903\n", want: 1<<62 - 1},
		{name: "no limit begins", text: "4611686018427387904\n", want: noLimit},
		{name: "negative", text: "-1\n", err: `want a number, got "-1"`},
	})
}

func TestParseUint(t *testing.T) {
	testParse(t, parseUint, []parseCase[uint64]{
		{name: "number", text: "206897184095\n", want: 206897184095},
		{name: "no end of line", text: "1", want: 1},
		{name: "blank before", text: " 1\n", err: `want a number, got " 1"`},
		{name: "empty", err: `want a number, got ""`},
		{name: "too long", text: strings.Repeat("1", maxValueBytes+1), err: "want one line, got " +
			`"` + strings.Repeat("1", maxQuoted) + `" and 65457 bytes more`},
	})
}

func TestParseCFSQuota(t *testing.T) {
	testParse(t, parseCFSQuota, []parseCase[int64]{
		{name: "quota", text: "75000\n", want: 75000},
		{name: "none", text: "-1\n", want: -1},
		{name: "least", text: "1\n", want: 1},
		{name: "nothing", text: "0\n", err: `want a quota in microseconds or -1, got "0"`},
		{name: "less than none", text: "-2\n", err: `want a quota in microseconds or -1, got "-2"`},
		{name: "word", text: "max\n", err: `want a quota in microseconds or -1, got "max"`},
	})
}

func TestParseCFSPeriod(t *testing.T) {
	testParse(t, parseCFSPeriod, []parseCase[uint64]{
		{name: "period", text: "100000\n", want: 100000},
		{name: "least", text: "1\n", want: 1},
		{name: "nothing", text: "0\n", err: `want a period in microseconds, got "0"`},
	})
}

func TestParseThrottling(t *testing.T) {
	testParse(t, parseThrottling, []parseCase[throttling]{
		{name: "whole", text: "nr_periods 9\nnr_throttled 4\nthrottled_time 77\n", want: throttling{periods: 9, throttled: 4}},
		{name: "missing", text: "nr_periods 9\n", err: "want one line with nr_throttled and a number, got 0"},
	})
}

func TestParseMemoryStat2(t *testing.T) {
	testParse(t, parseMemoryStat2, []parseCase[memoryStat]{
		{name: "whole", text: "anon 1\nfile 2\ninactive_file 3\n", want: memoryStat{reclaimable: 3, limit: noLimit}},
		{
			name: "all that is given back",
			text: "inactive_file 3\nactive_file 40\nunevictable 5\nslab_reclaimable 600\nslab_unreclaimable 7\nhugetlb 8\n",
			want: memoryStat{reclaimable: 643, limit: noLimit},
		},
		{
			name: "more than a number holds", text: "inactive_file 18446744073709551615\nactive_file 1\n",
			want: memoryStat{reclaimable: math.MaxUint64, limit: noLimit},
		},
		{name: "missing", text: "total_inactive_file 3\n", err: "want one line with inactive_file and a number, got 0"},
	})
}

func TestParseMemoryStat1(t *testing.T) {
	testParse(t, parseMemoryStat1, []parseCase[memoryStat]{
		{
			name: "limit", text: "inactive_file 1\nactive_file 2\nhierarchical_memory_limit 600\ntotal_inactive_file 3\ntotal_active_file 40\n",
			want: memoryStat{reclaimable: 43, limit: 600},
		},
		{
			name: "no limit", text: "hierarchical_memory_limit 9223372036854771712\ntotal_inactive_file 3\n",
			want: memoryStat{reclaimable: 3, limit: noLimit},
		},
		{name: "not said", text: "total_inactive_file 3\n", want: memoryStat{reclaimable: 3, limit: noLimit}},
		{name: "missing", text: "inactive_file 3\n", err: "want one line with total_inactive_file and a number, got 0"},
	})
}

func TestParseHugePages(t *testing.T) {
	testParse(t, parseHugePages, []parseCase[uint64]{
		{name: "none", text: "MemTotal: 1 kB\nHugePages_Total:       0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n"},
		{name: "not built in", text: "MemTotal: 1 kB\n"},
		{
			name: "two sizes", text: "HugePages_Total:       8\nHugepagesize:       2048 kB\nHugetlb:         1064960 kB\n",
			want: 1064960 << 10,
		},
		{name: "old kernel", text: "HugePages_Total:       8\nHugepagesize:       2048 kB\n", want: 16 << 20},
		{
			name: "more than a number holds", text: "HugePages_Total: 9223372036854775807\nHugepagesize: 2048 kB\n",
			want: math.MaxUint64,
		},
		{name: "word", text: "Hugetlb: x kB\n", err: `want Hugetlb and a number, got "Hugetlb: x kB"`},
	})
}

func TestParseCPUSet(t *testing.T) {
	const want = `want CPUs as "0-3,7", got `
	testParse(t, parseCPUSet, []parseCase[int]{
		{name: "list", text: "0-3,7\n", want: 5},
		{name: "one", text: "0\n", want: 1},
		{name: "range of one", text: "5-5\n", want: 1},
		{name: "empty", text: "\n", want: 0},
		{name: "last", text: "0-65535\n", want: 65536},
		{name: "past the last", text: "0-65536\n", err: want + `"0-65536"`},
		{name: "more than all", text: "0-65535,0\n", err: want + `"0-65535,0"`},
		{name: "backwards", text: "3-2\n", err: want + `"3-2"`},
		{name: "open", text: "3-\n", err: want + `"3-"`},
		{name: "hole", text: "1,,2\n", err: want + `"1,,2"`},
		{name: "negative", text: "-1\n", err: want + `"-1"`},
		{name: "word", text: "all\n", err: want + `"all"`},
	})
}

func TestParseControllers(t *testing.T) {
	testParse(t, parseControllers, []parseCase[[]string]{
		{name: "some", text: "cpu memory\n", want: []string{"cpu", "memory"}},
		{name: "none", text: "\n", want: []string{}},
		{name: "two lines", text: "cpu\nmemory\n", err: `want one line, got "cpu\nmemory"`},
	})
}

func TestPercent(t *testing.T) {
	tests := []struct {
		name              string
		part, whole, want float64
	}{
		{name: "half", part: 1, whole: 2, want: 50},
		{name: "nothing", part: 0, whole: 2, want: 0},
		{name: "all", part: 2, whole: 2, want: 100},
		{name: "more than all", part: 2.001, whole: 2, want: 100},
		{name: "less than nothing", part: -0.001, whole: 2, want: 0},
		{name: "of nothing", part: 0, whole: 0, want: 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, percent(tt.part, tt.whole))
		})
	}
}

// fuzzParse holds that a parser makes a value that check accepts of any text, or an error and no value.
func fuzzParse[T comparable](f *testing.F, parse func(io.Reader) (T, error), check func(T) bool, seeds ...string) {
	f.Helper()
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parse(strings.NewReader(text))
		if err != nil {
			var none T
			require.Equal(t, none, got)
			require.Less(t, len(err.Error()), 1000)
			return
		}
		require.True(t, check(got), "%v of %q", got, text)
	})
}

// anyOf accepts what its type can hold.
func anyOf[T any](T) bool { return true }

func FuzzParseCPUStat(f *testing.F) {
	fuzzParse(f, parseCPUStat, anyOf, "usage_usec 1\nnr_throttled 2\n", "usage_usec x\n", "")
}

func FuzzParseCPUMax(f *testing.F) {
	fuzzParse(f, parseCPUMax, func(q quota) bool { return q.cpus > 0 && q.period > 0 }, "max 100000\n", "1 2\n", "0 0\n")
}

func FuzzParseMax(f *testing.F) {
	fuzzParse(f, parseMax, anyOf, "max\n", "1\n", "-1\n")
}

func FuzzParseLimitInBytes(f *testing.F) {
	below := func(bytes uint64) bool { return bytes < cgroup1NoLimit || bytes == noLimit }
	fuzzParse(f, parseLimitInBytes, below, "9223372036854771712\n", "1\n")
}

func FuzzParseUint(f *testing.F) {
	fuzzParse(f, parseUint, anyOf, "1\n", "-1\n", "")
}

func FuzzParseCFSQuota(f *testing.F) {
	fuzzParse(f, parseCFSQuota, func(us int64) bool { return us > 0 || us == -1 }, "-1\n", "1\n", "0\n")
}

func FuzzParseCFSPeriod(f *testing.F) {
	fuzzParse(f, parseCFSPeriod, func(us uint64) bool { return us > 0 }, "1\n", "0\n")
}

func FuzzParseThrottling(f *testing.F) {
	fuzzParse(f, parseThrottling, anyOf, "nr_periods 9\nnr_throttled 4\n", "nr_throttled")
}

func FuzzParseMemoryStat2(f *testing.F) {
	fuzzParse(f, parseMemoryStat2, func(s memoryStat) bool { return s.limit == noLimit }, "inactive_file 1\n", "")
}

func FuzzParseMemoryStat1(f *testing.F) {
	below := func(s memoryStat) bool { return s.limit < cgroup1NoLimit || s.limit == noLimit }
	fuzzParse(f, parseMemoryStat1, below, "hierarchical_memory_limit 1\ntotal_inactive_file 1\n")
}

func FuzzParseHugePages(f *testing.F) {
	fuzzParse(f, parseHugePages, anyOf, "HugePages_Total:       8\nHugepagesize:       2048 kB\n", "Hugetlb: 1 kB\n")
}

func FuzzParseCPUSet(f *testing.F) {
	fuzzParse(f, parseCPUSet, func(n int) bool { return n >= 0 && n <= maxCPUs }, "0-3,7\n", "\n", "3-0\n", "0-4294967295\n")
}
