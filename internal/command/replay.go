package command

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"l4dump/internal/capture"
	"l4dump/internal/playbook"
	"l4dump/internal/protocol"
	"l4dump/internal/protocol/catalog"
	"l4dump/internal/replay"
)

// The caps of a run to another machine, unless others are given.
const (
	defaultConnections = 100
	defaultMaxRate     = 1000
	defaultMaxFailed   = 5 // percent
)

// replayFlags are the flags of the replay command.
type replayFlags struct {
	target    string
	allow     []string
	recorded  bool
	dryRun    bool
	json      bool
	selection selection
	shard     string
	untilGap  bool
	masked    bool
	classes   []string
	protocols []string

	pace        string
	order       string
	connections int
	copies      int
	ramp        time.Duration
	maxRate     float64
	duration    time.Duration
	seed        uint64
	keepChunks  bool

	onStall     string
	turnTimeout time.Duration
	maxFailed   float64
	maxLatency  time.Duration
	drain       time.Duration

	tls           bool
	serverName    string
	ca, cert, key string
	proxyProtocol string

	noCompare bool
	compareFlags
}

// replayPlan is what the flags say.
type replayPlan struct {
	filter   capture.Filter
	guard    replay.Guard
	compile  playbook.Options
	play     replay.Options
	dialer   replay.Dialer
	detector protocol.Detector
}

func newReplayCommand() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use:   "replay [FILE...|-] --target HOST:PORT",
		Short: "Play what was recorded to another service",
		Long: `replay plays whole recorded connections to a target: what each client sent, byte for byte, and each part
of it once the target has sent what the recorded service had sent before. Where it knows the
protocol (docs/PROTOCOLS.md) that is a number of answers, whatever their length; else a number of bytes.
It reads what decode reads.

It compares what the target answers with what was recorded, or with --baseline, with what another
service answers at the same time: value by value where it knows the protocol, else byte by byte. The
baseline is first played against itself, to learn in what answers differ anyway; what then differs
is played again. Values stand in reports as their form, length and a hash, unless --show-values is
given.

Connections of which bytes are missing are refused and counted, as are TLS and HTTP/2. What a target
does not answer in time is counted and named.

It plays to this machine, and elsewhere only with --allow; never to the service that was recorded,
unless --allow-recorded-destination is given. To other machines, at most 100 connections at a time
and 1000 turns per second are played, and the run stops if 5 % of the turns fail, unless other
limits are given. Connections with a command that is known to destroy something, as FLUSHALL of
Redis, are refused unless --allow-class names it. The run stops if the target cannot be reached five
times in a row. The first interrupt has no connection begin any more, another one ends the command.

Exit codes: 0 the same, or all was played, or --dry-run, 1 changed, slower, or the target failed,
2 wrong usage or a target that is not allowed, 3 inconclusive: nothing to play, interrupted, less
than 95 % compared, more than 1 % of the waits given up, too much of the answers taken for noise, a
baseline that differs from itself, or not at the recorded pace.`,
		Example: `  # what would be played
  l4dump replay envoy.log --dry-run

  # does the target answer as was recorded?
  l4dump replay envoy.log --target 127.0.0.1:8080

  # does the new version answer as the old one does now?
  l4dump replay envoy.log --baseline 127.0.0.1:8080 --target 127.0.0.1:8081 --html report.html

  # at one and a half times the recorded pace
  l4dump replay envoy.log --target 10.1.2.3:8080 --allow 10.1.0.0/16 --pace recordedx1.5 --no-compare

  # a quarter of it, as pod 0 of a Kubernetes Indexed Job
  l4dump replay dump.pcapng --target orders:8080 --allow 10.0.0.0/8 --shard $JOB_COMPLETION_INDEX/4`,
		Args: usageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{stdinName}
			}
			plan, err := flags.check(cmd)
			if err != nil {
				return usageError{err}
			}
			return play(cmd, &flags, plan, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.target, "target", "", "where to play to")
	f.StringSliceVar(&flags.allow, "allow", nil, "addresses besides this machine that may be played to, as 10.1.0.0/16 (repeatable)")
	f.BoolVar(&flags.recorded, "allow-recorded-destination", false, "allow the service that was recorded")
	f.BoolVar(&flags.dryRun, "dry-run", false, "say what would be played, and end")
	f.BoolVar(&flags.json, "json", false, "write JSON")
	flags.selection.define(f)
	f.StringVar(&flags.shard, "shard", "", "play a part of the connections: I/N, I from 0")
	f.BoolVar(&flags.untilGap, "until-gap", false, "play connections that are not whole up to what is missing")
	f.BoolVar(&flags.masked, "masked", false, "play connections with bytes that were overwritten when they were recorded")
	f.StringSliceVar(&flags.classes, "allow-class", nil, "play connections with this command though it destroys something, as FLUSHALL (repeatable)")
	f.StringSliceVar(&flags.protocols, "protocol", nil, "protocol of all connections, or PORT=NAME: auto, a name, or the FILE.yaml that describes it; docs/PROTOCOLS.md has them (repeatable)")
	f.StringVar(&flags.pace, "pace", "none", "none, recorded or think, and xN to play N times as fast")
	f.StringVar(&flags.order, "order", "connection", "connection: each by itself; causal: what had ended before in the recording ends before")
	f.IntVar(&flags.connections, "connections", 0, "at a time; 0: 64 with --pace none and --order connection, else no limit; 100 to other machines")
	f.IntVar(&flags.copies, "copies", 1, "play each connection as many times")
	f.DurationVar(&flags.ramp, "ramp", 0, "begin slowly over this time")
	f.Float64Var(&flags.maxRate, "max-rate", 0, "turns per second; 0: no limit; 1000 to other machines")
	f.DurationVar(&flags.duration, "duration", 0, "begin no connection after this time")
	f.Uint64Var(&flags.seed, "seed", 1, "of the shift between copies")
	f.BoolVar(&flags.keepChunks, "keep-chunks", false, "send in the parts that the client sent, also with --pace none")
	f.StringVar(&flags.onStall, "on-stall", "auto", "if the target takes too long: abort the connection, send what is next, or auto: abort if the protocol is known")
	f.DurationVar(&flags.turnTimeout, "turn-timeout", time.Minute, "what is too long at most; at least twice as long as recorded")
	f.Float64Var(&flags.maxFailed, "max-failed", 0, "percent of turns that may fail in 10 s; 0: no limit; 5 to other machines")
	f.DurationVar(&flags.maxLatency, "max-latency", 0, "that one turn in a hundred may take in 10 s; 0: no limit")
	f.DurationVar(&flags.drain, "drain", 10*time.Second, "how long connections may continue after an interrupt or --duration")
	f.BoolVar(&flags.tls, "tls", false, "encrypt connections to the target")
	f.StringVar(&flags.serverName, "tls-server-name", "", "name to ask for and to verify; the recorded one, else the target's")
	f.StringVar(&flags.ca, "tls-ca", "", "file of the certificates that vouch for the target; the system's")
	f.StringVar(&flags.cert, "tls-cert", "", "file of a client certificate")
	f.StringVar(&flags.key, "tls-key", "", "file of its key")
	f.StringVar(&flags.proxyProtocol, "proxy-protocol", "", "begin connections with the recorded addresses: v1 or v2")
	f.BoolVar(&flags.noCompare, "no-compare", false, "do not compare answers: only play")
	flags.defineCompare(f)
	completeFlag(cmd, "pace", "none", "recorded", "think")
	completeFlag(cmd, "order", "connection", "causal")
	completeFlag(cmd, "on-stall", "auto", "abort", "send")
	completeFlag(cmd, "proxy-protocol", "v1", "v2")
	return cmd
}

// check returns what the flags say, or every fault of the command line.
func (f *replayFlags) check(cmd *cobra.Command) (*replayPlan, error) {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	plan := &replayPlan{filter: f.selection.filter(fault)}
	if f.target == "" && !f.dryRun {
		fault("--target is missing; wanted HOST:PORT, or --dry-run")
	}
	plan.guard.RecordedDestination = f.recorded
	for _, text := range f.allow {
		prefix, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			fault("--allow is %q; wanted addresses like 10.1.0.0/16", text)
		}
		plan.guard.Allow = append(plan.guard.Allow, prefix)
	}
	var err error
	if plan.detector, err = catalog.Detector(f.protocols...); err != nil {
		fault("--protocol: %s", err)
	}
	plan.compile = playbook.Options{UntilGap: f.untilGap, Masked: f.masked, Classes: f.classes, Detector: &plan.detector}
	if f.shard != "" {
		plan.compile.Shard, plan.compile.Shards = shardOf(f.shard, fault)
	}
	for name, wrong := range map[string]bool{
		"connections": f.connections < 0, "copies": f.copies < 1 || f.copies > 1000, "ramp": f.ramp < 0, "max-rate": f.maxRate < 0,
		"duration": f.duration < 0, "max-latency": f.maxLatency < 0, "max-failed": f.maxFailed < 0 || f.maxFailed > 100,
		"turn-timeout": f.turnTimeout <= 0, "drain": f.drain < 0,
	} {
		if wrong {
			fault("--%s is %s, which is out of range", name, cmd.Flag(name).Value)
		}
	}
	plan.play = replay.Options{
		Pace: paceOf(f.pace, fault), Connections: f.connections, Copies: f.copies, Ramp: f.ramp, MaxRate: f.maxRate,
		Duration: f.duration, Seed: f.seed, KeepChunks: f.keepChunks, TurnTimeout: f.turnTimeout, MaxFailed: f.maxFailed / 100,
		MaxLatency: f.maxLatency, Drain: max(f.drain, 1), Protocols: plan.detector.Protocols,
	}
	stalls := map[string]replay.OnStall{"auto": replay.StallByProtocol, "abort": replay.Abort, "send": replay.Continue}
	var known bool
	if plan.play.OnStall, known = stalls[f.onStall]; !known {
		fault("--on-stall is %q; wanted auto, abort or send", f.onStall)
	}
	orders := map[string]replay.Order{"connection": replay.OrderConnection, "causal": replay.OrderCausal}
	if plan.play.Order, known = orders[f.order]; !known {
		fault("--order is %q; wanted connection or causal", f.order)
	}
	f.checkDialer(&plan.dialer, fault)
	f.checkCompare(f.noCompare, fault)
	slices.Sort(faults)
	if len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, "\n        "))
	}
	return plan, nil
}

// limit sets what was not given for a run to another machine.
func (f *replayFlags) limit(cmd *cobra.Command, options *replay.Options) {
	if !cmd.Flags().Changed("connections") {
		options.Connections = defaultConnections
	}
	if !cmd.Flags().Changed("max-rate") {
		options.MaxRate = defaultMaxRate
	}
	if !cmd.Flags().Changed("max-failed") {
		options.MaxFailed = defaultMaxFailed / 100.
	}
}

func (f *replayFlags) checkDialer(d *replay.Dialer, fault func(string, ...any)) {
	switch f.proxyProtocol {
	case "":
	case "v1", "v2":
		d.ProxyProtocol = int(f.proxyProtocol[1] - '0')
	default:
		fault("--proxy-protocol is %q; wanted v1 or v2", f.proxyProtocol)
	}
	if !f.tls {
		if f.serverName+f.ca+f.cert+f.key != "" {
			fault("--tls-server-name, --tls-ca, --tls-cert and --tls-key belong to --tls")
		}
		return
	}
	d.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.serverName}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		d.TLS.RootCAs = x509.NewCertPool()
		if err != nil || !d.TLS.RootCAs.AppendCertsFromPEM(pem) {
			fault("--tls-ca is %q; wanted a file of certificates in PEM", f.ca)
		}
	}
	if f.cert+f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			fault("--tls-cert and --tls-key: %s", err)
		}
		d.TLS.Certificates = []tls.Certificate{pair}
	}
}

// paceOf reads "none", "recorded", "thinkx1.5".
func paceOf(text string, fault func(string, ...any)) replay.Pace {
	kinds := map[string]replay.PaceKind{"none": replay.PaceNone, "recorded": replay.PaceRecorded, "think": replay.PaceThink}
	name, factor, fast := strings.Cut(text, "x")
	kind, known := kinds[name]
	speed := 1.0
	if fast {
		var err error
		speed, err = strconv.ParseFloat(factor, 64)
		known = known && err == nil && speed >= 0.01 && speed <= 1000 && kind != replay.PaceNone && !math.IsNaN(speed)
	}
	if !known {
		fault("--pace is %q; wanted none, recorded or think, and xN to play N times as fast, 0.01 to 1000", text)
	}
	return replay.Pace{Kind: kind, Speed: speed}
}

// shardOf reads "0/4".
func shardOf(text string, fault func(string, ...any)) (shard, shards int) {
	i, n, _ := strings.Cut(text, "/")
	shard, err := strconv.Atoi(i)
	shards, err2 := strconv.Atoi(n)
	if err != nil || err2 != nil || shard < 0 || shard >= shards {
		fault("--shard is %q; wanted I/N, I from 0 and less than N", text)
	}
	return shard, shards
}
