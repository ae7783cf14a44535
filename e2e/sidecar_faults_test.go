package e2e

import (
	"net/http"
	"strings"
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
