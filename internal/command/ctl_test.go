package command

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"l4dump/internal/poll"
	"l4dump/internal/sidecar"
	"l4dump/strategy"
)

// fixedUsage is usage measured 140 ms before sidecarTime.
type fixedUsage struct{ note string }

var sidecarTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (u fixedUsage) Latest() (sidecar.Measurement, bool) {
	taken := sidecarTime.Add(-140 * time.Millisecond)
	return sidecar.Measurement{
		CPU:    sidecar.Figure{Percent: 12.5, Source: "host:/proc/stat", Taken: taken},
		Memory: sidecar.Figure{Percent: 40, Source: "cgroup2:/pod", Taken: taken},
		Note:   u.note,
	}, true
}

// startSidecar starts a sidecar whose clock stands, and returns its address and folder.
func startSidecar(t *testing.T, change func(o *sidecar.Options)) (address, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "l4dump") //nolint:usetesting // T.TempDir's paths are too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	o := sidecar.Options{
		Dir: dir, Listen: []sidecar.Endpoint{{Network: "unix", Address: filepath.Join(dir, "s")}},
		Usage: fixedUsage{}, Now: func() time.Time { return sidecarTime },
	}
	if change != nil {
		change(&o)
	}
	server, err := sidecar.Start(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server.Endpoints()[0].String(), dir
}

const (
	ctlOn      = "ON, 10 s of every 60 s, under 60 %% CPU and 70 %% memory (by api at 2026-03-01T12:00:00Z, revision %d)\n"
	ctlOff     = "FORCE_OFF (by api at 2026-03-01T12:00:00Z, revision %d)\n"
	ctlCleared = "none (by api at 2026-03-01T12:00:00Z, revision %d)\n"
)

func TestCtl(t *testing.T) {
	address, dir := startSidecar(t, nil)
	file := filepath.Join(dir, "f.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"switch":"OFF","interval":3600}`), 0o600))
	for _, row := range []struct {
		name, stdin    string
		args           []string
		code           int
		stdout, stderr string
	}{
		{name: "none", args: []string{"get"}, stdout: "none\n"},
		{
			name: "set", args: []string{"set", "--switch", "ON", "--interval", "60", "--duration", "10", "--cpu-max-rate", "60"},
			stdout: fmt.Sprintf(ctlOn, 1),
		},
		{name: "get", args: []string{"get"}, stdout: fmt.Sprintf(ctlOn, 1)},
		{
			name: "off", args: []string{"off"}, stdout: fmt.Sprintf(ctlOff, 2),
			stderr: "l4dump: no plugin has polled this sidecar lately; one with \"resource_guard\": \"off\" does not obey it\n",
		},
		{name: "clear", args: []string{"clear"}, stdout: fmt.Sprintf(ctlCleared, 3)},
		{
			name: "set what has defaults", args: []string{"set", "--switch", "ON"},
			stdout: "ON, 1 s of every 30 s, under 80 % CPU and 70 % memory (by api at 2026-03-01T12:00:00Z, revision 4)\n",
		},
		{
			name: "set from a file", args: []string{"set", "-f", file},
			stdout: "OFF, 1 s of every 3600 s, under 80 % CPU and 70 % memory (by api at 2026-03-01T12:00:00Z, revision 5)\n",
		},
		{
			name: "set from standard input", stdin: `{"switch":"FORCE_OFF"}`, args: []string{"set", "--file", "-"},
			stdout: fmt.Sprintf(ctlOff, 6),
		},
		{
			name: "every fault", args: []string{"set", "--switch", "MAYBE", "--interval", "29"}, code: 1,
			stderr: "l4dump: the strategy is not valid; the one before stays\n" +
				"  interval: want a whole number from 30 to 3600, got 29\n" +
				"  switch: want \"ON\", \"OFF\" or \"FORCE_OFF\", got \"MAYBE\"\n",
		},
		{
			name: "JSON", args: []string{"get", "--json"},
			stdout: `{
  "strategy": {
    "switch": "FORCE_OFF",
    "interval": 30,
    "duration": 1,
    "cpu_max_rate": 80,
    "mem_max_rate": 70
  },
  "revision": 6,
  "by": "api",
  "at": "2026-03-01T12:00:00Z",
  "persisted": true
}
`,
		},
		{
			name: "nothing to set", args: []string{"set"}, code: 2,
			stderr: "l4dump: want --switch, or --file\nRun 'l4dump ctl set --help' for the usage.\n",
		},
		{
			name: "over already", args: []string{"set", "--switch", "ON", "--until", "2020-01-01T00:00:00Z"}, code: 2,
			stderr: "l4dump: want --until in the future, got 2020-01-01T00:00:00Z\nRun 'l4dump ctl set --help' for the usage.\n",
		},
		{
			name: "no switch", args: []string{"set", "--interval", "60"}, code: 2,
			stderr: "l4dump: want --switch, or --file\nRun 'l4dump ctl set --help' for the usage.\n",
		},
		{
			name: "file and flags", args: []string{"set", "-f", file, "--switch", "ON"}, code: 2,
			stderr: "l4dump: want --file or the strategy's own flags, not both\nRun 'l4dump ctl set --help' for the usage.\n",
		},
		{
			name: "no such file", args: []string{"set", "-f", dir + "/none"}, code: 1,
			stderr: "l4dump: open " + dir + "/none: no such file or directory\n",
		},
		{
			name: "too long", stdin: strings.Repeat(" ", strategy.MaxConfigBytes+1), args: []string{"set", "-f", "-"}, code: 1,
			stderr: "l4dump: read strategy: want at most 65536 bytes\n",
		},
		{
			name: "no number", args: []string{"set", "--interval", "x"}, code: 2,
			stderr: "l4dump: invalid argument \"x\" for \"--interval\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\n" +
				"Run 'l4dump ctl set --help' for the usage.\n",
		},
		{
			name: "unknown command", args: []string{"on"}, code: 2,
			stderr: "l4dump: unknown command \"on\" for \"l4dump ctl\"\nRun 'l4dump ctl --help' for the usage.\n",
		},
		{
			name: "argument", args: []string{"get", "x"}, code: 2,
			stderr: "l4dump: unknown command \"x\" for \"l4dump ctl get\"\nRun 'l4dump ctl get --help' for the usage.\n",
		},
		{
			name: "address", args: []string{"get", "--address", "localhost"}, code: 2,
			stderr: "l4dump: parse address \"localhost\": want unix:///PATH, http://HOST:PORT or https://HOST:PORT\n" +
				"Run 'l4dump ctl get --help' for the usage.\n",
		},
		{
			name: "color", args: []string{"status", "--color", "red"}, code: 2,
			stderr: "l4dump: --color is \"red\"; wanted auto, always or never\nRun 'l4dump ctl status --help' for the usage.\n",
		},
		{
			name: "nobody there", args: []string{"status", "--address", "unix://" + dir + "/none"}, code: 1,
			stderr: "l4dump: no sidecar at unix://" + dir + "/none; start one with 'l4dump sidecar', or give --address\n",
		},
		{
			name: "nobody at a path", args: []string{"status", "--address", dir + "/none"}, code: 1,
			stderr: "l4dump: no sidecar at unix://" + dir + "/none; start one with 'l4dump sidecar', or give --address\n",
		},
		{
			name: "nobody at a port", args: []string{"status", "--address", "127.0.0.1:1"}, code: 1,
			stderr: "l4dump: no sidecar at http://127.0.0.1:1; start one with 'l4dump sidecar', or give --address\n",
		},
		{
			name: "switch in lower case", args: []string{"set", "--switch", "force_off"}, stdout: fmt.Sprintf(ctlOff, 7),
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := append([]string{"ctl", "--address", address}, row.args...)
			code, stdout, stderr := runCommand(row.stdin, args...)
			require.Equal(t, []any{row.code, row.stdout, row.stderr}, []any{code, stdout, stderr})
		})
	}
}

func TestCtlStatus(t *testing.T) {
	envoy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stats" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "wasmcustom.l4dump_lines_total: 3\nwasmcustom.l4dump_bytes_kept_total: 12\nwasmcustom.l4dump_window_open: 0\n")
	}))
	t.Cleanup(envoy.Close)
	const window = "window     019ca945-0a00-801e-ac34-64756d700000, 12:00:00Z to 12:00:01Z, open; next at 12:00:30Z\n"
	const bare = "cpu        12.5 %, from host:/proc/stat, 140ms old\nmemory     40.0 %, from cgroup2:/pod, 140ms old\n"
	const usage = "cpu        12.5 % of 80 %, from host:/proc/stat, 140ms old\n" +
		"memory     40.0 % of 70 %, from cgroup2:/pod, 140ms old\n"
	for _, row := range []struct {
		name   string
		change func(o *sidecar.Options)
		set    string
		report string
		totals string
		args   []string
		want   string // DIR stands for the folder
	}{
		{
			name: "nothing is set",
			want: "recording  unknown: no plugin has polled lately; one with \"resource_guard\": \"off\" never does, and records as it is told\n" + bare +
				"global     none\n" +
				"plugins    none has polled lately\ndumps      0 bytes in DIR\n",
		},
		{
			name: "off, nothing measured", set: `{"switch":"FORCE_OFF"}`, args: []string{"--color", "always"},
			change: func(o *sidecar.Options) { o.Usage = nil },
			report: `[{"plugin":"p","reason":"forced_off","strategy":{}}]`,
			want: "recording  \x1b[33mno\x1b[0m: the global strategy is FORCE_OFF\nusage      not measured\n" +
				"global     FORCE_OFF (by api at 2026-03-01T12:00:00Z, revision 1)\n" +
				"plugin     p: forced_off; its own strategy: OFF, 1 s of every 30 s, under 80 % CPU and 70 % memory; it says forced_off, 0s ago\n" +
				"dumps      0 bytes in DIR\n",
		},
		{
			name: "off, but one plugin has no guard", set: `{"switch":"FORCE_OFF"}`,
			change: func(o *sidecar.Options) { o.Usage = nil },
			report: `[{"plugin":"","guard":"off","reason":"recorded","strategy":{"switch":"ON"}}]`,
			want: "recording  yes, but by no plugin that this sidecar governs: the global strategy is FORCE_OFF; " +
				"a plugin without a name records anyway, since this sidecar does not govern it\n" +
				"usage      not measured\nglobal     FORCE_OFF (by api at 2026-03-01T12:00:00Z, revision 1)\n" +
				"plugin     (without a name): recorded; its own strategy: ON, 1 s of every 30 s, under 80 % CPU and 70 % memory;" +
				" it says recorded, 0s ago; its resource_guard is \"off\"\n" +
				"dumps      0 bytes in DIR\n",
		},
		{
			name: "one is off, another one obeys another sidecar", set: `{"switch":"FORCE_OFF"}`,
			change: func(o *sidecar.Options) { o.Usage = nil },
			report: `[{"plugin":"a","reason":"forced_off","strategy":{"switch":"ON"}},` +
				`{"plugin":"b","guard":"other","reason":"recorded","strategy":{"switch":"ON"}}]`,
			want: "recording  in part: the global strategy is FORCE_OFF; " +
				"plugin \"b\" records anyway, since this sidecar does not govern it\n" +
				"usage      not measured\nglobal     FORCE_OFF (by api at 2026-03-01T12:00:00Z, revision 1)\n" +
				"plugin     a: forced_off; its own strategy: ON, 1 s of every 30 s, under 80 % CPU and 70 % memory; it says forced_off, 0s ago\n" +
				"plugin     b: recorded; its own strategy: ON, 1 s of every 30 s, under 80 % CPU and 70 % memory;" +
				" it says recorded, 0s ago; it obeys another sidecar\n" +
				"dumps      0 bytes in DIR\n",
		},
		{
			name: "what is wrong though it works", set: `{"switch":"ON"}`,
			change: func(o *sidecar.Options) {
				o.Usage = fixedUsage{note: "no node"}
				o.SampleInterval, o.UsageStaleAfter = 3*time.Second, 5*time.Second
			},
			report: `[{"plugin":"p","reason":"usage_unknown","strategy":{}}]`,
			want: "recording  yes: a window is open and nothing is in the way\n" +
				"warning    usage is measured in part: no node\n" +
				"warning    stale-after is 5s, so that recording flaps: want at least 6s, twice sample-interval\n" +
				"warning    plugin \"p\" does not believe a measurement that is fresh here: if this lasts, its stale_after is too short," +
				" want at least 6s and its poll_interval together\n" + window + usage +
				"strategy   ON, 1 s of every 30 s, under 80 % CPU and 70 % memory\n" +
				"global     ON, 1 s of every 30 s, under 80 % CPU and 70 % memory (by api at 2026-03-01T12:00:00Z, revision 1)\n" +
				"plugin     p: recorded; its own strategy: OFF, 1 s of every 30 s, under 80 % CPU and 70 % memory; it says usage_unknown, 0s ago\n" +
				"dumps      0 bytes in DIR\n",
		},
		{
			name: "all there is", set: `{"switch":"ON"}`,
			report: `[{"plugin":"a\u001b[2Jb","reason":"recorded","strategy":{}}]`,
			totals: `{"connections":{"seen":90,"kept":2},"bytes":{"seen":9000,"kept":500,"dropped":{"window_closed":8000,"budget_bytes":400,"cpu":100}}}`,
			change: func(o *sidecar.Options) {
				o.EnvoyAdmin = envoy.URL
				o.StrategyFile = filepath.Join(o.Dir, "global.json")
				if err := os.WriteFile(o.StrategyFile, []byte(`{"interval":1}`), 0o600); err != nil {
					panic(err)
				}
			},
			want: "recording  yes: a window is open and nothing is in the way\n" + window + usage +
				"strategy   ON, 1 s of every 30 s, under 80 % CPU and 70 % memory\n" +
				"global     ON, 1 s of every 30 s, under 80 % CPU and 70 % memory (by api at 2026-03-01T12:00:00Z, revision 1)\n" +
				"file       DIR/global.json: refused: interval: want a whole number from 30 to 3600, got 1\n" +
				"plugin     a?[2Jb: recorded; its own strategy: OFF, 1 s of every 30 s, under 80 % CPU and 70 % memory; it says recorded, 0s ago\n" +
				"recorded   2 of 90 connections, 500 of 9000 bytes since the proxy started\n" +
				"limited    most by budget_bytes, which dropped 400 bytes: raise capture.max_bytes_per_second\n" +
				"envoy      l4dump_bytes_kept_total 12\n           l4dump_lines_total 3\n" +
				"dumps      0 bytes in DIR\n",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			address, dir := startSidecar(t, row.change)
			if row.set != "" {
				code, _, stderr := runCommand(row.set, "ctl", "--address", address, "set", "-f", "-")
				require.Equal(t, 0, code, stderr)
			}
			if row.report != "" {
				pollSidecar(t, address, row.report, row.totals)
			}
			code, stdout, stderr := runCommand("", append([]string{"ctl", "--address", address, "status"}, row.args...)...)
			require.Equal(t, []any{0, strings.ReplaceAll(row.want, "DIR", dir), ""}, []any{code, stdout, stderr})
		})
	}
}

// TestWorstLimit has the status name the limit that dropped most, and every key that raises it.
func TestWorstLimit(t *testing.T) {
	for _, row := range []struct {
		name    string
		dropped map[strategy.Reason]uint64
		want    strategy.Reason
		keys    string
	}{
		{"none", nil, strategy.Recorded, ""},
		{"no limit", map[strategy.Reason]uint64{strategy.WindowClosed: 9}, strategy.Recorded, ""},
		{"one of two", map[strategy.Reason]uint64{strategy.BudgetLines: 1, strategy.WindowBytes: 2}, strategy.WindowBytes, "capture.max_bytes_per_window"},
		{"the other of two", map[strategy.Reason]uint64{strategy.ConnectionTime: 3, strategy.WindowBytes: 2}, strategy.ConnectionTime, "capture.max_connection_time"},
		{"two keys", map[strategy.Reason]uint64{strategy.OverBudget: 1}, strategy.OverBudget, "capture.max_bytes_per_second or capture.max_lines_per_second"},
	} {
		t.Run(row.name, func(t *testing.T) {
			totals := new(sidecar.Totals)
			for reason, n := range row.dropped {
				totals.BytesDropped[reason] = n
			}
			worst, keys := worstLimit(totals)
			require.Equal(t, row.want, worst)
			require.Equal(t, row.keys, keys)
		})
	}
}

func TestCtlOffNamesWhoDoesNotObey(t *testing.T) {
	address, _ := startSidecar(t, nil)
	pollSidecar(t, address, `[{"plugin":"a","reason":"recorded"},{"plugin":"b","guard":"off","reason":"recorded"},`+
		`{"plugin":"c","guard":"other","reason":"switch_off"},{"plugin":"","guard":"off","reason":"recorded"}]`, "")
	code, _, stderr := runCommand("", "ctl", "--address", address, "off")
	require.Zero(t, code)
	require.Equal(t, "l4dump: plugin (without a name) does not obey this sidecar: its resource_guard is \"off\"\n"+
		"l4dump: plugin b does not obey this sidecar: its resource_guard is \"off\"\n"+
		"l4dump: plugin c does not obey this sidecar: it obeys another sidecar\n", stderr)
}

// pollSidecar sends a plugin's report, and totals unless they are empty.
func pollSidecar(t *testing.T, address, report, totals string) {
	t.Helper()
	path := strings.TrimPrefix(address, "unix://")
	transport := &http.Transport{DisableKeepAlives: true, DialContext: unixDialer(path)}
	req, err := http.NewRequest(http.MethodGet, "http://localhost"+poll.StatePath, nil)
	require.NoError(t, err)
	req.Header.Set(poll.ReportHeader, report)
	if totals != "" {
		req.Header.Set(poll.TotalsHeader, totals)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestCtlCompletion(t *testing.T) {
	for _, row := range []struct{ command, flag, want string }{
		{"ctl set", "--switch", "ON\nOFF\nFORCE_OFF\n:4\n"},
		{"ctl status", "--color", "auto\nalways\nnever\n:4\n"},
		{"sidecar", "--scope", "auto\nhost\ncgroup\npod\n:4\n"},
		{"sidecar", "--log-format", "text\njson\n:4\n"},
		{"sidecar", "--log-level", "debug\ninfo\nwarn\nerror\n:4\n"},
	} {
		args := append([]string{"__complete"}, strings.Fields(row.command)...)
		code, stdout, _ := runCommand("", append(args, row.flag, "")...)
		require.Equal(t, 0, code)
		require.Equal(t, row.want, stdout, row.flag)
	}
}
