package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// deadline is how long anything may take before a test gives up. It is far longer than anything needs: two cores may
// be busy with other tests.
const deadline = 60 * time.Second

// waitFor waits until condition holds.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	end := time.Now().Add(deadline)
	for !condition() {
		require.False(t, time.Now().After(end), "waited %s for %s", deadline, what)
		time.Sleep(10 * time.Millisecond)
	}
}

// proxy is a subject that runs.
type proxy struct {
	t         *testing.T
	cmd       *exec.Cmd
	exited    chan struct{}
	log       string // path of what it wrote to standard error
	reader    *reader
	admin     string
	listeners map[string]string // addresses by name
}

// start starts a subject and waits until it is ready. It is stopped when the test ends.
func start(t *testing.T, s subject, c *config) *proxy {
	t.Helper()
	return startWith(t, s, c, options{})
}

// options are what a scenario may change about how a subject is started.
type options struct {
	wasmLevel string   // log level of what plugins say, "info" if empty
	args      []string // added to the subject's
	stderr    *os.File // instead of the file that is read as its log
	log       string   // path of the file that is read as its log, if args make the subject write it
}

// startWith is start with options.
func startWith(t *testing.T, s subject, c *config, o options) *proxy {
	t.Helper()
	dir := t.TempDir()
	l := launch{
		config: filepath.Join(dir, "envoy.json"), log: cmp.Or(o.log, filepath.Join(dir, "log")), admin: filepath.Join(dir, "admin"),
		wasmLevel: cmp.Or(o.wasmLevel, "info"),
	}
	writeJSON(t, l.config, c.bootstrap)
	p := &proxy{t: t, exited: make(chan struct{}), log: l.log}
	log, err := os.Create(p.log)
	require.NoError(t, err)
	defer log.Close()
	p.reader = newReader(t, p.log)
	p.cmd = exec.Command(s.binary, append(s.args(l), o.args...)...)
	p.cmd.Stderr = log
	if o.stderr != nil {
		p.cmd.Stderr = o.stderr
	}
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // the exit code is in cmd.ProcessState
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", s.name, p.logEnd())
		}
	})

	waitFor(t, "the admin interface", func() bool {
		p.requireRunning()
		p.admin = s.admin(l)
		return p.admin != ""
	})
	waitFor(t, "readiness", func() bool {
		p.requireRunning()
		response, err := http.Get("http://" + p.admin + "/ready")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	p.listeners = p.boundListeners()
	return p
}

func (p *proxy) requireRunning() {
	p.t.Helper()
	select {
	case <-p.exited:
		require.Fail(p.t, "the proxy has exited", "%s", p.cmd.ProcessState)
	default:
	}
}

// stop interrupts the proxy and waits until it has exited, without an error.
func (p *proxy) stop() {
	p.t.Helper()
	select {
	case <-p.exited:
	default:
		_ = p.cmd.Process.Signal(os.Interrupt)
	}
	select {
	case <-p.exited:
	case <-time.After(deadline):
		_ = p.cmd.Process.Kill()
		<-p.exited
		p.t.Errorf("the proxy was killed %s after the interrupt", deadline)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("the proxy ended with %s", p.cmd.ProcessState)
	}
}

// logEnd returns the last lines of the log, cut to what a person reads, and without the records.
func (p *proxy) logEnd() string {
	const lines, lineBytes = 40, 300
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	all = slices.DeleteFunc(all, func(line string) bool { return strings.Contains(line, "] L4D1 ") })
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		if len(line) > lineBytes {
			all[i] = line[:lineBytes] + "..."
		}
	}
	return strings.Join(all, "\n")
}

// boundListeners asks for the ports that were bound.
func (p *proxy) boundListeners() map[string]string {
	p.t.Helper()
	var answer struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    uint16 `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	require.NoError(p.t, json.Unmarshal([]byte(p.get("/listeners?format=json")), &answer))
	bound := map[string]string{}
	for _, s := range answer.Statuses {
		bound[s.Name] = net.JoinHostPort(s.Address.Socket.Address, strconv.Itoa(int(s.Address.Socket.Port)))
	}
	return bound
}

// address returns where a listener listens.
func (p *proxy) address(listener string) string {
	p.t.Helper()
	require.Contains(p.t, p.listeners, listener)
	return p.listeners[listener]
}

// port returns the port on which a listener listens.
func (p *proxy) port(listener string) uint16 {
	p.t.Helper()
	_, text, err := net.SplitHostPort(p.address(listener))
	require.NoError(p.t, err)
	port, err := strconv.ParseUint(text, 10, 16)
	require.NoError(p.t, err)
	return uint16(port)
}

// get asks the admin interface.
func (p *proxy) get(path string) string {
	p.t.Helper()
	return p.ask(http.MethodGet, path)
}

// post changes something by the admin interface.
func (p *proxy) post(path string) string {
	p.t.Helper()
	return p.ask(http.MethodPost, path)
}

func (p *proxy) ask(method, path string) string {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.admin+path, http.NoBody)
	require.NoError(p.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, response.StatusCode, "%s %s: %s", method, path, body)
	return string(body)
}

// metricPrefix is what /stats puts before the plugin's metrics.
const metricPrefix = "wasmcustom."

// metrics returns the plugin's metrics by their names as scraped.
func (p *proxy) metrics() map[string]uint64 {
	p.t.Helper()
	values := map[string]uint64{}
	for line := range strings.Lines(p.get("/stats?filter=wasmcustom")) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), ": ")
		require.True(p.t, ok, line)
		value, err := strconv.ParseUint(text, 10, 64)
		require.NoError(p.t, err, line)
		require.True(p.t, strings.HasPrefix(name, metricPrefix), line)
		values[strings.TrimPrefix(name, metricPrefix)] = value
	}
	return values
}

// waitForMetric waits until a metric has a value: the plugin updates them each second.
func (p *proxy) waitForMetric(name string, want uint64) {
	p.t.Helper()
	waitFor(p.t, fmt.Sprintf("%s to be %d", name, want), func() bool {
		value, ok := p.metrics()[name]
		return ok && value == want
	})
}

// waitForLog waits until the log holds text, count times.
func (p *proxy) waitForLog(text string, count int) {
	p.t.Helper()
	waitFor(p.t, fmt.Sprintf("%q, %d times in the log", text, count), func() bool { return p.logged(text) >= count })
}

// logged returns how many times text is in the log.
func (p *proxy) logged(text string) int {
	p.t.Helper()
	log, err := os.ReadFile(p.log)
	require.NoError(p.t, err)
	return strings.Count(string(log), text)
}

// dump returns what was recorded so far.
func (p *proxy) dump() *dump {
	p.t.Helper()
	p.reader.read(p.t)
	return p.reader.dump
}

// waitForDump waits until what was recorded meets a condition, and returns it.
func (p *proxy) waitForDump(what string, condition func(d *dump) bool) *dump {
	p.t.Helper()
	waitFor(p.t, what, func() bool { return condition(p.dump()) })
	return p.reader.dump
}

// waitForCloses waits until count connections were recorded to their end, and returns all that was recorded.
func (p *proxy) waitForCloses(count int) *dump {
	p.t.Helper()
	return p.waitForDump(fmt.Sprintf("%d close records", count), func(d *dump) bool { return d.closes >= count })
}

// residentBytes returns the process's resident memory (VmRSS of /proc/PID/status).
func (p *proxy) residentBytes() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			require.NoError(p.t, err)
			return kilobytes << 10
		}
	}
	require.Fail(p.t, "no VmRSS in the process's status")
	return 0
}

// waitForPolls waits for count more polls with a result.
func (p *proxy) waitForPolls(result string, count uint64) {
	p.t.Helper()
	name := "l4dump_polls_" + result + "_total"
	before := p.metrics()[name]
	waitFor(p.t, "polls: "+result, func() bool { return p.metrics()[name] >= before+count })
}
