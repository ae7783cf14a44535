package sidecar

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPortraitIsWrittenOnOneLine(t *testing.T) {
	c := start(t, nil)
	c.setGlobal(on)
	r := c.do(http.MethodPost, portraitPath+"RPC?port=8080", "{\n \"b\": 1.50,\t\"a\": [1e400, \"x\\ny\"]\n}\n")
	line := "[" + epochWindow + `][RPC][8080]{"b":1.50,"a":[1e400,"x\ny"]}` + "\n"
	require.Equal(t, Portrait{Window: epochWindow, Type: "RPC", Port: 8080, Bytes: len(line)},
		into[Portrait](t, http.StatusCreated, r))
	require.Equal(t, line, c.read(portraitFile))
}

func TestPortraitsOncePerTypeAndWindow(t *testing.T) {
	c := start(t, nil)
	c.setGlobal(on)
	post := func(businessType string) reply {
		return c.do(http.MethodPost, portraitPath+businessType, `1`, PortHeader, "80")
	}
	window := func() CurrentWindow {
		return into[CurrentWindow](t, http.StatusOK, c.do(http.MethodGet, windowPath, ""))
	}
	require.Equal(t, []string{}, window().Portraits)
	for _, businessType := range businessTypes {
		require.Equal(t, http.StatusCreated, post(businessType).status)
		r := post(businessType)
		p := into[Problem](t, http.StatusConflict, r)
		require.Equal(t, ReasonDuplicate, p.Reason)
		require.Equal(t, epochWindow, p.Window)
		require.Equal(t, "30", r.header.Get("Retry-After"))
	}
	require.Equal(t, CurrentWindow{
		Window: Window{
			ID: epochWindow, Start: epoch, End: epoch.Add(10 * time.Second), Next: epoch.Add(30 * time.Second), Open: true,
		},
		Recording: true, Reason: "recorded", Portraits: []string{"CONFIGURATION", "RPC", "STATE"},
	}, window())

	c.clock.set(epoch.Add(30 * time.Second))
	c.meter.set(10, 20, epoch.Add(30*time.Second))
	require.Equal(t, []string{}, window().Portraits)
	require.Equal(t, http.StatusCreated, post("RPC").status)
	require.Equal(t, http.StatusConflict, post("RPC").status)
	require.Len(t, c.server.portraits.taken, 1, "windows that are over are forgotten")
	require.Equal(t, 4, strings.Count(c.read(portraitFile), "\n"))
}

func TestPortraitsWhileNothingIsRecorded(t *testing.T) {
	tests := []struct {
		name, global string
		at           time.Duration
		cpu, memory  float64
		age          time.Duration
		reason       string
		retry        string
	}{
		{name: "off", reason: "switch_off"},
		{name: "forced off", global: `{"switch":"FORCE_OFF"}`, reason: "forced_off"},
		{name: "window closed", global: on, at: 10 * time.Second, reason: "window_closed", retry: "20"},
		{name: "window about to open", global: on, at: 30*time.Second - 1, reason: "window_closed", retry: "1"},
		{name: "cpu", global: on, cpu: 80, reason: "cpu", retry: "1"},
		{name: "memory", global: on, memory: 70, reason: "memory", retry: "1"},
		{name: "usage unknown", global: on, age: time.Minute, reason: "usage_unknown", retry: "1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t, nil)
			c.clock.set(epoch.Add(tc.at))
			c.meter.set(tc.cpu, tc.memory, epoch.Add(tc.at-tc.age))
			if tc.global != "" {
				c.setGlobal(tc.global)
			}
			r := c.do(http.MethodPost, portraitPath+"RPC?port=80", `{}`)
			p := into[Problem](t, http.StatusLocked, r)
			require.Equal(t, tc.reason, p.Reason)
			require.Equal(t, epochWindow, p.Window)
			require.Equal(t, tc.retry, r.header.Get("Retry-After"))
			require.Empty(t, c.read(portraitFile))
		})
	}
}

func TestPortraitsThatAreRefused(t *testing.T) {
	const limit = 64
	text := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	tests := []struct {
		name, path, body string
		header           []string
		status           int
		reason           string
	}{
		{"least port", "RPC?port=1", "{}", nil, http.StatusCreated, ""},
		{"most port", "RPC?port=65535", "{}", nil, http.StatusCreated, ""},
		{"port under", "RPC?port=0", "{}", nil, http.StatusBadRequest, ReasonPort},
		{"port over", "RPC?port=65536", "{}", nil, http.StatusBadRequest, ReasonPort},
		{"no port", "RPC", "{}", nil, http.StatusBadRequest, ReasonPort},
		{"no number", "RPC?port=80%0a", "{}", nil, http.StatusBadRequest, ReasonPort},
		{"port by header", "RPC", "{}", []string{PortHeader, "80"}, http.StatusCreated, ""},
		{"port by both", "RPC?port=80", "{}", []string{PortHeader, "80"}, http.StatusBadRequest, ReasonPort},
		{"port twice", "RPC?port=80&port=80", "{}", nil, http.StatusBadRequest, ReasonPort},
		{"wrong type", "rpc?port=1", "{}", nil, http.StatusNotFound, ReasonUnknownType},
		{"type of a line break", "RPC%0a?port=1", "{}", nil, http.StatusNotFound, ReasonUnknownType},
		{"longest", "RPC?port=1", text(limit), nil, http.StatusCreated, ""},
		{"longer by 1", "RPC?port=1", text(limit + 1), nil, http.StatusRequestEntityTooLarge, ReasonTooLarge},
		{"empty", "RPC?port=1", "", nil, http.StatusBadRequest, ReasonInvalidJSON},
		{"null", "RPC?port=1", "null", nil, http.StatusCreated, ""},
		{"cut off", "RPC?port=1", `{"a":`, nil, http.StatusBadRequest, ReasonInvalidJSON},
		{"two values", "RPC?port=1", `{} {}`, nil, http.StatusBadRequest, ReasonInvalidJSON},
		{"not UTF-8", "RPC?port=1", "\"\xff\"", nil, http.StatusBadRequest, ReasonInvalidJSON},
		{"a raw line break in a string", "RPC?port=1", "\"a\nb\"", nil, http.StatusBadRequest, ReasonInvalidJSON},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := start(t, func(o *Options) { o.MaxPortraitBytes = limit })
			c.setGlobal(on)
			r := c.do(http.MethodPost, portraitPath+tc.path, tc.body, tc.header...)
			if tc.reason == "" {
				require.Equal(t, tc.status, r.status, r.body)
				require.Equal(t, 1, strings.Count(c.read(portraitFile), "\n"))
				return
			}
			require.Equal(t, tc.reason, problem(t, tc.status, r))
			require.Empty(t, c.read(portraitFile))
			if tc.reason == ReasonUnknownType {
				require.Contains(t, r.body, "RPC, CONFIGURATION or STATE")
			}
		})
	}
}

func TestCompactJSON(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"white space", " [ 1 , 2 ]\r\n", `[1,2]`},
		{"numbers stay", `[1.0,-0,1E+2,12345678901234567890]`, `[1.0,-0,1E+2,12345678901234567890]`},
		{"repeated names stay", `{"a":1,"a":2}`, `{"a":1,"a":2}`},
		{"line separators", "\"\u2028\u2029\"", `"\u2028\u2029"`},
		{"next line and terminal commands", "\"\u0085\u009b31m\x7f\"", `"\u0085\u009b31m\u007f"`},
		{"others stay", `"ä€😀<&>"`, `"ä€😀<&>"`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := compactJSON([]byte(tc.text))
			require.NoError(t, err)
			require.Equal(t, tc.want, string(got))
		})
	}
}

func FuzzCompactJSON(f *testing.F) {
	for _, seed := range []string{`{"a": [1, "b"]}`, "\"\u2028\x7f\"", `"\ud800"`, "{", "1 2"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		line, err := compactJSON(text)
		if err != nil {
			return
		}
		require.NotContains(t, string(line), "\n")
		again, err := compactJSON(line)
		require.NoError(t, err)
		require.Equal(t, string(line), string(again))
	})
}

func TestRestartWithinAWindow(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		name         string
		at           time.Duration
		businessType string
		want         int
	}{
		{"first", 0, "RPC", http.StatusCreated},
		{"again", time.Second, "RPC", http.StatusConflict},
		{"another type", 9 * time.Second, "STATE", http.StatusCreated},
		{"next window", 30 * time.Second, "RPC", http.StatusCreated},
	} {
		c := start(t, func(o *Options) {
			o.Dir = dir
			o.Now = func() time.Time { return epoch.Add(tc.at) }
			o.UsageStaleAfter = time.Hour
		})
		c.setGlobal(on)
		r := c.do(http.MethodPost, portraitPath+tc.businessType+"?port=1", "1")
		require.Equal(t, tc.want, r.status, tc.name)
		require.NoError(t, c.server.Close())
	}
}

func TestConcurrentPortraits(t *testing.T) {
	c := start(t, nil)
	c.setGlobal(on)
	var mu sync.Mutex
	var statuses []int
	var posts sync.WaitGroup
	for i := range 6 {
		posts.Go(func() {
			r := c.do(http.MethodPost, portraitPath+"STATE?port=1", fmt.Sprintf(`{"n":%d}`, i))
			mu.Lock()
			defer mu.Unlock()
			statuses = append(statuses, r.status)
		})
	}
	posts.Wait()
	slices.Sort(statuses)
	require.Equal(t, http.StatusCreated, statuses[0])
	for _, status := range statuses[1:] { // while the first one is written it is not known whether it will be
		require.Contains(t, []int{http.StatusConflict, http.StatusServiceUnavailable}, status)
	}
	require.Equal(t, 1, strings.Count(c.read(portraitFile), "\n"))
}
