package resp

import (
	"strconv"
	"time"

	"l4dump/internal/protocol"
)

// command is what the framing of a connection depends on, of a command by its name in capitals.
type command struct {
	effect    effect
	wait      wait
	container bool // the next word belongs to the name
	login     bool
}

// effect is what a command does to the answers of its connection.
type effect uint8

const (
	ordinary effect = iota
	subscribe
	unsubscribe
	multi
	exec
	monitor
	hello
	reset
	reply // CLIENT REPLY
	replicate
)

// wait is where a command says how long it lets the service wait.
type wait uint8

const (
	never      wait = iota
	lastArg         // seconds
	firstArg        // seconds
	lastMillis      // milliseconds
	blockArg        // milliseconds, after BLOCK and before STREAMS
)

// family is what a subscription is of.
type family uint8

const (
	channels family = iota
	patterns
	shards
)

var commands = map[string]command{
	"SUBSCRIBE": {effect: subscribe}, "PSUBSCRIBE": {effect: subscribe}, "SSUBSCRIBE": {effect: subscribe},
	"UNSUBSCRIBE": {effect: unsubscribe}, "PUNSUBSCRIBE": {effect: unsubscribe}, "SUNSUBSCRIBE": {effect: unsubscribe},
	"MULTI": {effect: multi}, "EXEC": {effect: exec}, "DISCARD": {effect: exec},
	"MONITOR": {effect: monitor}, "RESET": {effect: reset}, "SYNC": {effect: replicate}, "PSYNC": {effect: replicate},
	"HELLO": {effect: hello, login: true}, "AUTH": {login: true},

	"BLPOP": {wait: lastArg}, "BRPOP": {wait: lastArg}, "BRPOPLPUSH": {wait: lastArg}, "BLMOVE": {wait: lastArg},
	"BZPOPMIN": {wait: lastArg}, "BZPOPMAX": {wait: lastArg}, "BLMPOP": {wait: firstArg}, "BZMPOP": {wait: firstArg},
	"XREAD": {wait: blockArg}, "XREADGROUP": {wait: blockArg}, "WAIT": {wait: lastMillis}, "WAITAOF": {wait: lastMillis},

	"ACL": {container: true}, "CLIENT": {container: true}, "CLUSTER": {container: true}, "COMMAND": {container: true},
	"CONFIG": {container: true}, "DEBUG": {container: true}, "FUNCTION": {container: true}, "LATENCY": {container: true},
	"MEMORY": {container: true}, "MODULE": {container: true}, "OBJECT": {container: true}, "PUBSUB": {container: true},
	"SCRIPT": {container: true}, "SENTINEL": {container: true}, "SLOWLOG": {container: true}, "XGROUP": {container: true},
	"XINFO": {container: true}, "CLIENT REPLY": {effect: reply},
}

// families are those of commands, and of the words in what the service says of subscriptions.
var families = map[string]family{
	"SUBSCRIBE": channels, "PSUBSCRIBE": patterns, "SSUBSCRIBE": shards,
	"UNSUBSCRIBE": channels, "PUNSUBSCRIBE": patterns, "SUNSUBSCRIBE": shards,
}

// call is a command that is being read.
type call struct {
	command
	none     bool // an empty line or array, which Redis passes over
	class    string
	family   family
	args     int64 // after the name
	index    int64 // of the next one, from 1
	short    [24]byte
	length   int // of what short has of an argument; more than it holds: the argument is longer
	block    bool
	streams  bool
	argument uint8 // of CLIENT REPLY and HELLO
	wait     time.Duration
}

// The arguments that matter.
const (
	otherArg uint8 = iota
	onArg
	offArg
	skipArg
	twoArg
	threeArg
)

// collect keeps the beginning of an argument.
func (c *call) collect(b []byte) {
	if c.length < len(c.short) {
		copy(c.short[c.length:], b)
	}
	c.length += len(b)
}

// take reads the argument that collect has.
func (c *call) take() {
	c.index++
	b := upper(c.short[:min(c.length, len(c.short))])
	if c.length > len(c.short) {
		b = nil
	}
	c.length = 0
	switch {
	case c.command.wait == firstArg && c.index == 1, c.command.wait == lastArg && c.index == c.args:
		c.wait = parseWait(b, time.Second)
	case c.command.wait == lastMillis && c.index == c.args:
		c.wait = parseWait(b, time.Millisecond)
	case c.command.wait == blockArg && c.block:
		c.wait, c.block = parseWait(b, time.Millisecond), false
	case c.command.wait == blockArg && !c.streams:
		c.block, c.streams = string(b) == "BLOCK", string(b) == "STREAMS"
	case (c.effect == reply || c.effect == hello) && c.index == 1:
		c.argument = arguments[string(b)]
	}
}

var arguments = map[string]uint8{"ON": onArg, "OFF": offArg, "SKIP": skipArg, "2": twoArg, "3": threeArg}

// parseWait reads a number of units; 0 is Forever. What is none is no wait: the service refuses it.
func parseWait(b []byte, unit time.Duration) time.Duration {
	n, err := strconv.ParseFloat(string(b), 64)
	switch {
	case err != nil || n < 0 || n > 1e9:
		return 0
	case n == 0:
		return protocol.Forever
	}
	return max(time.Duration(n*float64(unit)), 1)
}

// upper makes the ASCII letters of b capitals, in place.
func upper(b []byte) []byte {
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return b
}
