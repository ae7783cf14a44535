package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"l4dump/internal/poll"
	"l4dump/internal/sidecar"
	"l4dump/strategy"
)

// sidecarCluster is the example's cluster that leads to the sidecar.
const sidecarCluster = "l4dump-sidecar"

// patientSidecar asks a sidecar more often than the default does, so that tests are short, and waits for it as long as it
// takes on a busy machine.
const patientSidecar = `{"poll_interval": "200ms", "timeout": "10s", "stale_after": "30s"}`

// quickSidecar is for sidecars that fail: it soon believes that one has.
const quickSidecar = `{"poll_interval": "200ms", "timeout": "500ms", "stale_after": "1s"}`

// unlimited returns a strategy with the highest limits of usage.
func unlimited(s strategy.Strategy) strategy.Strategy {
	s.CPUMaxRate, s.MemMaxRate = 99.9, 99.9
	return s
}

// guardedConfig returns a plugin configuration with a sidecar, which records what passes in both directions. sidecar
// and fuse are JSON objects.
func guardedConfig(s strategy.Strategy, sidecar, fuse string) string {
	return fmt.Sprintf(`{
		"strategy": %s, "sidecar": %s, "fuse": %s,
		"capture": {"unit": "bytes", "directions": ["downstream", "upstream"], "max_bytes_per_second": 0, "max_lines_per_second": 0}
	}`, s.AppendJSON(nil), sidecar, fuse)
}

// rename gives the plugin at a listener a name of its own. Plugins of one name are one to the sidecar and in the
// gauges.
func (c *config) rename(t *testing.T, listener, name string) {
	t.Helper()
	c.change(t, listener, func(w *wasmv3.PluginConfig) { w.Name, w.RootId = name, name })
}

// lead makes a cluster lead to a sidecar's address, as "unix:///PATH" or HOST:PORT. It is the example's, or a new one.
func (c *config) lead(t *testing.T, cluster, address string) {
	t.Helper()
	endpoint, err := sidecar.ParseEndpoint(address)
	require.NoError(t, err)
	static := c.bootstrap.StaticResources
	named := func(name string) int {
		return slices.IndexFunc(static.Clusters, func(c *clusterv3.Cluster) bool { return c.Name == name })
	}
	if named(cluster) < 0 {
		added := proto.CloneOf(static.Clusters[named(sidecarCluster)])
		added.Name, added.LoadAssignment.ClusterName = cluster, cluster
		static.Clusters = append(static.Clusters, added)
	}
	endpoints := static.Clusters[named(cluster)].LoadAssignment.Endpoints
	require.Len(t, endpoints, 1)
	require.Len(t, endpoints[0].LbEndpoints, 1)
	place := endpoints[0].LbEndpoints[0].GetEndpoint()
	if endpoint.Network == "unix" {
		place.Address = &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: endpoint.Address}}}
		return
	}
	setPort(t, place.Address, endpoint.Address)
}

// with returns the subject with another number of workers.
func (s subject) with(workers int) subject {
	args := s.args
	s.args = func(l launch) []string {
		list := args(l)
		list[slices.Index(list, "--concurrency")+1] = fmt.Sprint(workers)
		return list
	}
	return s
}

// socketPath returns an address for a Unix socket that nobody listens on yet.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "l4dump") //nolint:usetesting // T.TempDir's paths are too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return "unix://" + filepath.Join(dir, "sidecar")
}

// sidecarProcess is `l4dump sidecar`, which can be started more than once.
type sidecarProcess struct {
	t       *testing.T
	address string // as --listen takes it
	dir     string // of its files
	log     string // path of what it wrote to standard error
	wrapper []string
	args    []string
	cmd     *exec.Cmd
	exited  chan struct{}
}

// newSidecar returns a sidecar that is not yet started. It measures a machine on which nothing happens: what else
// runs on this one must not decide a test.
func newSidecar(t *testing.T, address string, args ...string) *sidecarProcess {
	t.Helper()
	machine := idleMachine(t)
	return newMeasuringSidecar(t, address, append([]string{
		"--scope", "cgroup", "--proc", filepath.Join(machine, "proc"), "--cgroup", filepath.Join(machine, "cgroup"),
	}, args...)...)
}

// newMeasuringSidecar is newSidecar for one that measures this machine.
func newMeasuringSidecar(t *testing.T, address string, args ...string) *sidecarProcess {
	t.Helper()
	dir := t.TempDir()
	c := &sidecarProcess{t: t, address: address, dir: filepath.Join(dir, "dumps"), log: filepath.Join(dir, "log")}
	c.args = append([]string{"sidecar", "--listen", address, "--dir", c.dir, "--sample-interval", "200ms"}, args...)
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			text, _ := os.ReadFile(c.log)
			t.Logf("the sidecar's log:\n%s", text)
		}
	})
	return c
}

// idleMachine returns a folder with the proc and cgroup file systems of a machine on which nothing happens.
func idleMachine(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/stat":                 "cpu  100 0 100 1000 0 0 0 0 0 0\ncpu0 100 0 100 1000 0 0 0 0 0 0\n",
		"proc/cpuinfo":              "processor\t: 0\n",
		"proc/meminfo":              "MemTotal: 4000000 kB\nMemFree: 3000000 kB\nMemAvailable: 3000000 kB\n",
		"proc/self/cgroup":          "0::/\n",
		"cgroup/cgroup.controllers": "cpu memory\n",
		"cgroup/cpu.stat":           "usage_usec 1000000\nnr_throttled 0\n",
		"cgroup/memory.current":     "1000000\n",
		"cgroup/memory.max":         "100000000\n",
		"cgroup/memory.stat":        "inactive_file 0\n",
	} {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	return root
}

// listening is how the sidecar says where it is.
var listening = regexp.MustCompile(`msg=listening address="?(?:tcp://)?([^"\s]+)`)

// start starts the sidecar, and waits until it answers.
func (c *sidecarProcess) start() {
	c.t.Helper()
	log, err := os.OpenFile(c.log, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	require.NoError(c.t, err)
	defer log.Close()
	args := append(append(slices.Clone(c.wrapper), commandLine(c.t)), c.args...)
	cmd, exited := exec.Command(args[0], args[1:]...), make(chan struct{})
	cmd.Stderr = log
	require.NoError(c.t, cmd.Start())
	go func() {
		_ = cmd.Wait() // the exit code is in cmd.ProcessState
		close(exited)
	}()
	c.cmd, c.exited = cmd, exited
	waitFor(c.t, "the sidecar to listen", func() bool {
		select {
		case <-exited:
			require.Fail(c.t, "the sidecar has exited", "%s", cmd.ProcessState)
		default:
		}
		text, err := os.ReadFile(c.log)
		match := listening.FindSubmatch(text)
		if err != nil || match == nil {
			return false
		}
		c.address = string(match[1]) // with the port that was bound
		return true
	})
	waitFor(c.t, "the sidecar to measure", func() bool { return c.status().Usage != nil })
}

// kill ends the sidecar as a crash does.
func (c *sidecarProcess) kill() {
	c.t.Helper()
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it may have exited
	<-c.exited
}

// stop ends the sidecar as a person does, and requires that it ends without an error.
func (c *sidecarProcess) stop() {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-c.exited:
	case <-time.After(deadline):
		require.Fail(c.t, "the sidecar did not end")
	}
	require.Zero(c.t, c.cmd.ProcessState.ExitCode(), "%s", c.cmd.ProcessState)
}

// pause stops the sidecar's process, until resume.
func (c *sidecarProcess) pause() {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGSTOP))
}

func (c *sidecarProcess) resume() {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGCONT))
}

// url returns the sidecar's address as ctl takes it.
func (c *sidecarProcess) url() string {
	if strings.HasPrefix(c.address, "unix://") {
		return c.address
	}
	return "http://" + c.address
}

// status returns what a person asks.
func (c *sidecarProcess) status() sidecar.Status {
	c.t.Helper()
	client, err := sidecar.NewClient(c.url(), sidecar.ClientOptions{})
	require.NoError(c.t, err)
	defer client.Close()
	status, err := client.Status(c.t.Context())
	require.NoError(c.t, err)
	return status
}

// ctl runs `l4dump ctl`, which must succeed, and returns what it says.
func (c *sidecarProcess) ctl(args ...string) string {
	c.t.Helper()
	args = append([]string{"ctl", "--address", c.url()}, args...)
	text, err := exec.Command(commandLine(c.t), args...).CombinedOutput()
	require.NoError(c.t, err, "l4dump %s: %s", strings.Join(args, " "), text)
	return string(text)
}

// post sends a JSON body, and returns the answer.
func (c *sidecarProcess) post(path, body string) (status int, answer string) {
	c.t.Helper()
	return c.ask(http.MethodPost, path, body)
}

func (c *sidecarProcess) ask(method, path, body string) (status int, answer string) {
	c.t.Helper()
	endpoint, err := sidecar.ParseEndpoint(c.address)
	require.NoError(c.t, err)
	client := http.Client{Timeout: deadline, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, endpoint.Network, endpoint.Address)
		},
	}}
	request, err := http.NewRequestWithContext(c.t.Context(), method, "http://localhost"+path, bytes.NewBufferString(body))
	require.NoError(c.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	require.NoError(c.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return response.StatusCode, string(text)
}

// usualCPU returns the highest of some readings of CPU usage, in percent.
func (c *sidecarProcess) usualCPU(readings int) float64 {
	c.t.Helper()
	highest := 0.0
	var last sidecar.UsageFigure
	for range readings {
		waitFor(c.t, "a new reading", func() bool {
			now := c.status().Usage.CPU
			isNew := last == (sidecar.UsageFigure{}) || now.Percent != last.Percent || now.AgeMillis < last.AgeMillis
			last = now
			return isNew
		})
		highest = max(highest, last.Percent)
	}
	return highest
}

// requirePortrait uploads a portrait, which must be taken.
func (c *sidecarProcess) requirePortrait(businessType, body string) {
	c.t.Helper()
	status, answer := c.post("/v1/portraits/"+businessType+"?port=8080", body)
	require.Equal(c.t, http.StatusCreated, status, answer)
	var portrait sidecar.Portrait
	require.NoError(c.t, json.Unmarshal([]byte(answer), &portrait))
	require.Equal(c.t, businessType, portrait.Type)
}

// lines returns the lines of one of the sidecar's files, which may not be there yet.
func (c *sidecarProcess) lines(name string) []string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if errors.Is(err, fs.ErrNotExist) || len(text) == 0 {
		return nil
	}
	require.NoError(c.t, err)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// waitForLines waits until one of the sidecar's files has count lines.
func (c *sidecarProcess) waitForLines(name string, count int) []string {
	c.t.Helper()
	waitFor(c.t, name, func() bool { return len(c.lines(name)) >= count })
	return c.lines(name)
}

// answeredPoll is how the sidecar's metrics count the polls that it has answered.
var answeredPoll = regexp.MustCompile(`(?m)^l4dump_sidecar_requests_total\{code="200",method="\w+",path="` + poll.StatePath + `"\} (\d+)$`)

// polls returns how many polls the sidecar has answered, by its metrics.
func (c *sidecarProcess) polls() (n int) {
	c.t.Helper()
	status, text := c.ask(http.MethodGet, "/metrics", "")
	require.Equal(c.t, http.StatusOK, status, text)
	for _, match := range answeredPoll.FindAllStringSubmatch(text, -1) {
		count, err := strconv.Atoi(match[1])
		require.NoError(c.t, err, match[0])
		n += count
	}
	return n
}
