package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"l4dump/internal/guest"
)

// fixture is what all tests share: the guest module. Written once by TestMain.
var fixture struct{ probe []byte }

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "host-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if fixture.probe, err = buildGuest("./testdata/probe", filepath.Join(dir, "probe.wasm")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func buildGuest(source, out string) ([]byte, error) {
	if err := guest.Build(context.Background(), out, source); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// logBuffer is a log that a test reads while others write.
type logBuffer struct {
	mu     sync.Mutex
	text   strings.Builder
	writes int
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes++
	return b.text.Write(p)
}

var linePattern = regexp.MustCompile(`^\[[^]]*\]\[(\d+)\]\[(\w+)\]\[wasm\] \[[^]]*\](?: wasm log)?(.*)$`)

// take returns and forgets the lines so far: "thread level prefix: message", the level only if it is not info.
func (b *logBuffer) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for line := range strings.Lines(b.text.String()) {
		m := linePattern.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			lines = append(lines, line)
			continue
		}
		if m[2] == "info" {
			m[2] = ""
		} else {
			m[2] = " " + m[2]
		}
		lines = append(lines, m[1]+m[2]+m[3])
	}
	b.text.Reset()
	return lines
}

// waitFor returns the lines so far once one contains text.
func (b *logBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return strings.Contains(b.text.String(), text)
	}, 20*time.Second, 2*time.Millisecond, "no log line with %q", text)
}

// testEngine is an engine with its surroundings.
type testEngine struct {
	*Engine
	log     *logBuffer
	logger  *Logger
	metrics *Metrics
	shared  *SharedData
}

var testTime = time.Date(2026, 11, 23, 1, 23, 51, 887_000_000, time.UTC)

func newTestEngine(t *testing.T, change func(*VMConfig, *Options)) *testEngine {
	t.Helper()
	te := &testEngine{log: new(logBuffer), metrics: new(Metrics), shared: new(SharedData)}
	te.logger = NewLogger(te.log, LevelInfo, 0, func() time.Time { return testTime })
	config := VMConfig{ID: "vm", Code: fixture.probe}
	options := Options{
		Workers: 1, Now: func() time.Time { return testTime }, Log: te.logger, Shared: te.shared, Metrics: te.metrics,
		CacheDir: ModuleCache(),
	}
	if change != nil {
		change(&config, &options)
	}
	te.logger = options.Log
	var err error
	te.Engine, err = NewEngine(t.Context(), config, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, te.Close(context.Background())) })
	return te
}

func (te *testEngine) filter(t *testing.T, script string) *Filter {
	t.Helper()
	f, err := te.Configure(t.Context(), Plugin{Name: "probe", RootID: "root", Configuration: []byte(script), NodeID: "n1"})
	require.NoError(t, err)
	return f
}

var testConnection = Connection{
	ID: 258, SourceAddress: "127.0.0.1:4660", SourcePort: 4660, DestinationAddress: "127.0.0.1:80", DestinationPort: 80,
}

func newTestStream(t *testing.T, f *Filter) *Stream {
	t.Helper()
	s, ok := f.NewStream(0, &testConnection)
	require.True(t, ok)
	require.Equal(t, Continue, s.NewConnection())
	return s
}

// run runs a script in a stream of its own and returns the results without the echoed line.
func (te *testEngine) run(t *testing.T, script string) []string {
	t.Helper()
	f := te.filter(t, "")
	s := newTestStream(t, f)
	te.log.take()
	s.DownstreamData([]byte("!"+script), false)
	lines := te.log.take()
	s.DownstreamClose(CloseRemote)
	f.Release()
	te.log.take()
	require.Contains(t, lines[0], "downstream_data")
	for i := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimPrefix(lines[i], "1 probe root vm: "), "= ")
	}
	return lines[1:]
}
