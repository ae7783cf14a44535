package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sidecarFault is one way in which a sidecar fails.
type sidecarFault struct {
	name     string
	listener string // whose sidecar it is
	begin    func()
	end      func()
	polls    string // the result that its polls have
	said     string // in the log, once
}

// TestSidecarFaults has sidecars fail in every way while traffic passes: it continues, without records until the
// sidecar is back. One plugin has a real sidecar, and one a fake that answers what it is told to.
func TestSidecarFaults(t *testing.T) {
	t.Parallel()
	const genuine, faked = "genuine", "fake"
	onEach(t, func(t *testing.T, s subject) {
		sidecar := newSidecar(t, socketPath(t))
		sidecar.start()
		fakeAddress := socketPath(t)
		fake := startFake(t, fakeAddress)
		service := startService(t, echo)
		schedule := unlimited(openStrategy(t))
		c := newConfig(t, service.address(), plugins{
			genuine: guardedConfig(schedule, quickSidecar, `{"soft": 0}`),
			// A timeout that a large answer on a busy machine does not meet.
			faked: guardedConfig(schedule, `{"cluster": "fake", "poll_interval": "200ms", "timeout": "10s", "stale_after": "1s"}`, `{"soft": 0}`),
		})
		c.rename(t, faked, faked)
		c.lead(t, sidecarCluster, sidecar.address)
		c.lead(t, faked, fakeAddress)
		p := start(t, s, c)
		live := map[string]liveClients{}
		for _, listener := range []string{genuine, faked} {
			live[listener] = dialLive(t, p.address(listener))
			live[listener].waitForRecords(p)
		}

		const noFault = "no fault"
		pings := startPings(t, p.address(genuine), p.address(faked))
		pings.during(noFault, func() { p.waitForPolls("ok", 30) })
		faults := append(fakeFaults(fake, faked, s.name == engine), sidecarFault{
			"killed", genuine, sidecar.kill, sidecar.start, "unreachable", "no answer from cluster l4dump-sidecar (status 503)",
		}, sidecarFault{
			"stopped", genuine, sidecar.pause, sidecar.resume, "unreachable", "no answer from cluster l4dump-sidecar (status 504)",
		})
		for _, fault := range faults {
			said := p.logged(fault.said)
			pings.during(fault.name, func() {
				fault.begin()
				p.waitForMetric("l4dump_off_usage_unknown", 1)
				p.waitForPolls(fault.polls, 3)
				live[fault.listener].waitForSilence(p)
				live[fault.listener].beSilent()
			})
			require.Equal(t, said+1, p.logged(fault.said), "%s: %q, once and not with each poll", fault.name, fault.said)

			fault.end()
			p.waitForMetric("l4dump_off_usage_unknown", 0)
			live[fault.listener].waitForRecords(p)
		}
		pings.stop()
		pings.require(t, noFault)
		for _, clients := range live {
			clients.finish(p)
		}
	})
}

// fakeFaults are what may answer on the sidecar's port. A proxy that cuts off what is too large tells the plugin that
// there is no answer.
func fakeFaults(fake *fakeSidecar, listener string, cutsOff bool) []sidecarFault {
	const invalid, unreachable, unmeasured = "invalid", "unreachable", "unmeasured"
	const wrong = "the answer of cluster fake is not the sidecar's: "
	tooLarge, saidTooLarge := invalid, "the answer of cluster fake is too large"
	if cutsOff {
		tooLarge, saidTooLarge = unreachable, "no answer from cluster fake (status none)"
	}
	var faults []sidecarFault
	for _, row := range []struct {
		name, polls, said string
		status            int
		body              string
	}{
		{"garbage", invalid, wrong + "want valid JSON, but at byte 0: a zero byte", 200, "\x00\xff\x7f\n" + string(randomBytes(1, 1000))},
		{"10 MiB", tooLarge, saidTooLarge, 200, strings.Repeat(" ", 10<<20)},
		{"a web page", invalid, wrong + "want valid JSON, but at byte 0: an unexpected '<'", 200, "<!doctype html><title>It works</title>"},
		{"no such page", unreachable, "no answer from cluster fake (status 404)", 404, "<!doctype html><title>Not found</title>"},
		{"another service's JSON", invalid, wrong + "version: want 1", 200, `{"status": "ok"}`},
		{"not measured", unmeasured, "the sidecar has not measured yet", 200, `{"version": 1, "usage": null}`},
		{"measured long ago", unmeasured, "the sidecar's last measurement is too old", 200, strings.ReplaceAll(goodState, `"age_ms":0`, `"age_ms":60000`)},
	} {
		faults = append(faults, sidecarFault{
			name: row.name, listener: listener, polls: row.polls, said: row.said,
			begin: func() {
				fake.set(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(row.status)
					_, _ = w.Write([]byte(row.body)) // who asked may have gone
				})
			},
			end: func() { fake.set(answerWell) },
		})
	}
	return faults
}
