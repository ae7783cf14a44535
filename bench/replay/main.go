// Command replay measures how fast `l4dump replay` plays HTTP/1 and Redis, beside wrk and redis-benchmark, which ask the same
// server for the same, and what memory it takes with many connections and with a long answer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"l4dump/bench/internal/command"
	"l4dump/bench/internal/report"
)

func main() {
	var b bench
	program := command.Program{Name: "replay", Rounds: 5, Register: b.register, Measure: b.measure}
	os.Exit(program.Run(os.Stdout, os.Stderr, os.Args[1:]))
}

type bench struct {
	binary   string
	dir      string
	turns    int
	duration time.Duration
	long     int
	many     int
}

const (
	mebibyte = 1 << 20
	megabyte = 1_000_000

	playOnly = "l4dump replay --no-compare"
	compared = "l4dump replay"
)

func (b *bench) register(flags *flag.FlagSet) {
	flags.StringVar(&b.binary, "l4dump", "../build/l4dump", "the command line to measure")
	flags.StringVar(&b.dir, "dir", "", "where recordings are kept meanwhile; empty: the temporary folder")
	flags.IntVar(&b.turns, "turns", 100_000, "requests of a recording; 0: leave out how fast they are played")
	flags.DurationVar(&b.duration, "duration", 3*time.Second, "how long wrk runs; redis-benchmark makes as many requests as were recorded")
	flags.IntVar(&b.long, "mib", 1024, "MiB of the long answer; 0: leave it out")
	flags.IntVar(&b.many, "many", 10_000, "connections that are open at a time; 0: leave them out")
}

func (b *bench) measure(ctx context.Context, o command.Options) (tables []*report.Table, err error) {
	dir, err := os.MkdirTemp(b.dir, "l4dump-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := &player{binary: b.binary, dir: dir}
	for _, part := range []struct {
		wanted  int
		measure func(context.Context, command.Options, *player) (*report.Table, error)
	}{{b.turns, b.http}, {b.turns, b.redis}, {b.long, b.longAnswers}, {b.many, b.manyConnections}} {
		if part.wanted == 0 {
			continue
		}
		t, err := part.measure(ctx, o, p)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// rates are what the rows of a protocol show.
var rates = []report.Metric{
	{Name: "requests/s", Ratio: true},
	{Name: "CPU s/100k", Decimals: 2, Ratio: true},
	{Name: "reaction p50 µs"},
	{Name: "p99 µs"},
	{Name: "peak MiB"},
}

// http plays GET requests of a small file.
func (b *bench) http(ctx context.Context, o command.Options, p *player) (_ *report.Table, err error) {
	const connections, body = 64, 64
	server, err := startNginx(ctx, p.dir, body)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	request := server.request()
	answer, err := server.answer(ctx, request)
	if err != nil {
		return nil, err
	}
	log, err := b.exchanges(p.dir, "http.log", connections, request, answer)
	if err != nil {
		return nil, err
	}
	title := fmt.Sprintf("HTTP/1: GET of %d bytes from nginx over %d connections", body, connections)
	return measureRates(ctx, o, p, title, log, server.address, client{
		name: "wrk", args: []string{
			"-t", "2", "-c", fmt.Sprint(connections), "-d", fmt.Sprintf("%.0fs", b.duration.Seconds()), "http://" + server.address + smallPath,
		}, parse: parseWrk,
	})
}

// redis plays GETs of a short value, each after the answer to the one before.
func (b *bench) redis(ctx context.Context, o command.Options, p *player) (_ *report.Table, err error) {
	const connections = 50
	server, err := startRedis(ctx, p.dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	log, err := b.exchanges(p.dir, "redis.log", connections, redisGet, redisAnswer)
	if err != nil {
		return nil, err
	}
	host, port := server.hostPort()
	title := fmt.Sprintf("Redis: GET of %d bytes over %d connections", redisBytes, connections)
	return measureRates(ctx, o, p, title, log, server.address, client{
		name: "redis-benchmark", args: []string{
			"-h", host, "-p", port, "-c", fmt.Sprint(connections), "-n", fmt.Sprint(b.turns), "--csv", "GET", redisKey,
		}, parse: parseRedisBenchmark(b.turns),
	})
}

// exchanges records b.turns requests and answers in all.
func (b *bench) exchanges(dir, name string, connections int, request, answer []byte) (path string, err error) {
	return writeLog(filepath.Join(dir, name), func(r *recording) {
		for i := range connections {
			c := r.open()
			for range (b.turns + connections - 1 - i) / connections {
				c.exchange(request, answer)
			}
			c.close()
		}
	})
}

// measureRates measures a client and, in turn with it, what plays a log to the same server.
func measureRates(ctx context.Context, o command.Options, p *player, title, log, target string, control client) (*report.Table, error) {
	t := report.New(title, rates, control.name, playOnly, compared)
	return t, t.Measure(ctx, o.Progress, o.Rounds, func(ctx context.Context, name string) ([]float64, error) {
		if name == control.name {
			return control.run(ctx)
		}
		var flags []string
		if name == playOnly {
			flags = []string{"--no-compare"}
		}
		played, err := p.play(ctx, log, target, flags...)
		if err != nil {
			return nil, err
		}
		read, err := p.read(ctx, log)
		if err != nil {
			return nil, err
		}
		return []float64{
			played.turns / played.seconds, (played.cpuSeconds - read) / played.turns * 100_000, played.reactionP50, played.reactionP99, played.peakMiB,
		}, nil
	})
}

// longAnswers plays a request whose answer is long, beside one whose answer is not.
func (b *bench) longAnswers(ctx context.Context, o command.Options, p *player) (_ *report.Table, err error) {
	logs, bodies := map[string]string{}, map[string]*blocks{}
	var names []string
	for _, size := range []int{1, b.long} {
		name := fmt.Sprintf("%d MiB", size)
		body := newBlocks(size)
		names, bodies[name] = append(names, name), body
		logs[name], err = writeLog(filepath.Join(p.dir, fmt.Sprintf("%d.log", size)), func(r *recording) {
			c := r.open()
			c.send(client2server, getRequest)
			c.send(server2client, body.head())
			body.each(func(block []byte) bool { c.send(server2client, block); return true })
			c.close()
		})
		if err != nil {
			return nil, err
		}
	}
	t := report.New("an answer of HTTP/1, compared", []report.Metric{{Name: "MB/s"}, {Name: "peak MiB", Ratio: true}}, names...)
	return t, t.Measure(ctx, o.Progress, o.Rounds, func(ctx context.Context, name string) (_ []float64, err error) {
		server, err := newService(ctx, 1, bodies[name])
		if err != nil {
			return nil, err
		}
		defer server.stop()
		played, err := p.play(ctx, logs[name], server.address())
		if err != nil {
			return nil, err
		}
		return []float64{float64(bodies[name].length()) / megabyte / played.seconds, played.peakMiB}, nil
	})
}

// manyConnections plays connections of which none is answered before all are open.
func (b *bench) manyConnections(ctx context.Context, o command.Options, p *player) (*report.Table, error) {
	counts, logs := map[string]int{}, map[string]string{}
	var names []string
	body := newBlocks(0)
	for _, count := range []int{1, b.many} {
		name := fmt.Sprint(count)
		names, counts[name] = append(names, name), count
		var err error
		logs[name], err = writeLog(filepath.Join(p.dir, "many-"+name+".log"), func(r *recording) {
			for range count {
				c := r.open()
				c.send(client2server, getRequest)
				c.wait(recordedWait)
				c.send(server2client, body.head())
				c.exchange(getRequest, body.head())
				c.close()
			}
		})
		if err != nil {
			return nil, err
		}
	}
	metrics := []report.Metric{{Name: "peak MiB", Decimals: 1}, {Name: "KiB for each", Decimals: 1}}
	t := report.New("connections that are open at a time, compared", metrics, names...)
	least := 0.
	return t, t.Measure(ctx, o.Progress, o.Rounds, func(ctx context.Context, name string) ([]float64, error) {
		count := counts[name]
		server, err := newService(ctx, count, body)
		if err != nil {
			return nil, err
		}
		defer server.stop()
		played, err := p.play(ctx, logs[name], server.address(), "--connections", name)
		if err != nil {
			return nil, err
		}
		if count == 1 {
			least = played.peakMiB
			return []float64{played.peakMiB, 0}, nil
		}
		return []float64{played.peakMiB, (played.peakMiB - least) * 1024 / float64(count)}, nil
	})
}

// recordedWait is how long the recorded server took to answer, so that the player waits a minute for all connections.
const recordedWait = 10 * time.Second
