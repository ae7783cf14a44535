// Package framed cuts connections of protocols that a small file describes: messages that say their length, and lines.
// docs/PROTOCOLS.md says what stands in such a file; protocols has those that are built in.
package framed

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"l4dump/internal/protocol"
)

// The limits of a description.
const (
	maxOffset    = 64 << 10        // bytes from the beginning of a message to a field
	maxBytes     = 1 << 40         // bytes of a message
	usualBytes   = int64(64 << 20) // unless max_bytes says more
	maxLine      = 64 << 10        // bytes
	classWindow  = 512             // bytes that a regular expression for a class sees
	maxClass     = 200             // bytes
	maxNameBytes = 32
)

// description is what a file says.
type description struct {
	name  string
	ports []uint16
	max   int64

	// Messages that say their length.
	magic     *magic
	lengths   []length
	id        *number
	requestIf *condition
	onewayIf  *condition
	answerIf  *condition
	status    *status
	class     *class
	noise     []number

	// Lines.
	delimiter []byte
	requests  []line
	answers   []line

	blurs []*regexp.Regexp // noise of either
}

type magic struct {
	offset int
	bytes  []byte
}

// number is where a number stands.
type number struct {
	offset int
	bytes  int
	little bool
	after  *number // its value is added to offset
}

// condition is a number that has, or does not have, one of some values under a mask.
type condition struct {
	number
	mask   uint64
	values []uint64
	not    bool
}

// length is how long a message is: the sum of numbers, and adjust.
type length struct {
	when   *condition
	parts  []number
	varint bool
	adjust int64
	follow bool // the number counts what follows it, whatever is before
}

// status is where an answer says whether it failed.
type status struct {
	number
	ok []uint64
}

// class is what groups requests: a text of a given size, or what an expression finds.
type class struct {
	offset int
	size   *number // nil: bytes
	bytes  int
	find   *regexp.Regexp
}

// line is what a line means that an expression matches.
type line struct {
	match     *regexp.Regexp
	length    int // index of the group that says how long the block is that follows; -1: none does
	class     int // index of the group that is the class; -1: the first word is
	oneway    int // index of the group that is there if no answer comes; -1: none
	noAnswer  bool
	continues bool
	failed    bool
}

// Parse reads a description. name stands for it in errors, which have all that is wrong, one per line of text.
func Parse(name string, text []byte) (protocol.Protocol, error) {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); err != nil {
		if err == io.EOF { //nolint:errorlint // Decode returns it as it is
			return nil, fmt.Errorf("%s: want a description of a protocol", name)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := &document{name: name}
	o := d.object(root.Content[0], "", documentKeys...)
	if o == nil {
		return nil, d.err()
	}
	p := parse(o)
	if err := d.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// The keys of a description, and of what is in it besides numbers.
var (
	documentKeys = []string{
		"name", "ports", "max_bytes", "magic", "length", "id", "request_if", "oneway_if", "answer_if", "status", "class", "noise",
		"delimiter", "requests", "answers",
	}
	conditionKeys = []string{"mask", "value", "not"}
	lengthKeys    = []string{"varint", "adjust", "if", "sum"}
	ruleKeys      = []string{"match", "oneway", "continues", "failed"}
)

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

func parse(o *object) *description {
	p := &description{name: o.text("name"), max: o.number("max_bytes", 1, maxBytes, usualBytes)}
	if !nameForm.MatchString(p.name) || len(p.name) > maxNameBytes || p.name == "raw" || p.name == "auto" {
		o.fault("name", "want a name of at most %d lower-case letters, digits, _ and -, which is not raw or auto", maxNameBytes)
	}
	for _, node := range o.list("ports") {
		n, err := strconv.ParseUint(node.Value, 10, 16)
		if err != nil || n == 0 {
			o.document.fault(node, "ports: ", "want numbers from 1 to 65535, not %q", node.Value)
			continue
		}
		p.ports = append(p.ports, uint16(n))
	}
	switch {
	case o.has("length") == o.has("delimiter"):
		o.fault("length", "want length or delimiter, one of them")
	case o.has("length"):
		parseMessages(o, p)
	default:
		parseLines(o, p)
	}
	parseNoise(o, p)
	return p
}

// only reports the keys that are of no use beside another.
func only(o *object, beside string, keys ...string) {
	for _, key := range keys {
		if o.has(key) {
			o.fault(key, "there is no use for it beside %s", beside)
		}
	}
}

func parseMessages(o *object, p *description) {
	only(o, "length", "requests", "answers")
	if m := o.document.object(o.value("magic"), "magic.", "offset", "hex", "text"); m != nil {
		p.magic = &magic{int(m.number("offset", 0, maxOffset, 0)), m.bytes("hex", "text")}
		if p.magic.bytes == nil && len(o.document.faults) == 0 {
			m.fault("hex", "want hex or text")
		}
	}
	nodes := []*yaml.Node{o.value("length")}
	if nodes[0].Kind == yaml.SequenceNode {
		nodes = nodes[0].Content
	}
	for i, node := range nodes {
		p.lengths = append(p.lengths, parseLength(o.document, node, i == len(nodes)-1))
	}
	p.id = parseNumber(o, "id")
	p.requestIf, p.onewayIf, p.answerIf = parseCondition(o, "request_if"), parseCondition(o, "oneway_if"), parseCondition(o, "answer_if")
	if s := o.document.object(o.value("status"), "status.", numberKeys("ok")...); s != nil {
		p.status = &status{numberOf(s), s.numbers("ok")}
		if len(p.status.ok) == 0 {
			s.fault("ok", "want the values that are no failure")
		}
	}
	if c := o.document.object(o.value("class"), "class.", "offset", "bytes", "size", "regexp"); c != nil {
		p.class = &class{offset: int(c.number("offset", 0, maxOffset, 0)), bytes: int(c.number("bytes", 1, maxClass, 0))}
		p.class.size, p.class.find = parseNumber(c, "size"), c.expression("regexp")
		if given := c.has("bytes") != c.has("size") != c.has("regexp"); !given || c.has("bytes") && c.has("size") {
			c.fault("bytes", "want one of bytes, size and regexp")
		}
	}
}

func parseLength(d *document, node *yaml.Node, last bool) (l length) {
	o := d.object(node, "length.", numberKeys(lengthKeys...)...)
	if o == nil {
		return l
	}
	l.when = parseCondition(o, "if")
	if l.when == nil && !last && !o.has("if") {
		o.fault("if", "want a condition in all lengths but the last")
	}
	l.varint = o.boolean("varint")
	switch {
	case o.has("sum"):
		only(o, "sum", numberKeys("varint")...)
		for _, item := range o.list("sum") {
			if part := d.object(item, "length.sum.", numberKeys()...); part != nil {
				l.parts = append(l.parts, numberOf(part))
			}
		}
		if !o.has("adjust") {
			o.fault("adjust", "want the bytes that the numbers in sum do not count")
		}
	case l.varint:
		only(o, "varint", "bytes", "endian", "after")
		l.parts = []number{{offset: int(o.number("offset", 0, maxOffset, 0))}}
	default:
		l.parts = []number{numberOf(o)}
	}
	l.adjust = o.number("adjust", -maxOffset, maxOffset, 0)
	l.follow = !o.has("adjust")
	return l
}

// numberKeys are the keys of a number, and others.
func numberKeys(others ...string) []string {
	return append([]string{"offset", "bytes", "endian", "after"}, others...)
}

func parseNumber(o *object, key string) *number {
	path := key + "."
	if o.path != "" {
		path = o.path + path
	}
	n := o.document.object(o.value(key), path, numberKeys()...)
	if n == nil {
		return nil
	}
	number := numberOf(n)
	return &number
}

func numberOf(o *object) (n number) {
	if !o.has("offset") {
		o.fault("offset", "want the bytes before the number")
	}
	n.offset, n.bytes = int(o.number("offset", 0, maxOffset, 0)), int(o.number("bytes", 1, 8, 1))
	switch endian := o.text("endian"); endian {
	case "", "big":
	case "little":
		n.little = true
	default:
		o.fault("endian", "want big or little, not %q", endian)
	}
	if after := o.document.object(o.value("after"), o.path+"after.", "offset", "bytes", "endian"); after != nil {
		a := numberOf(after)
		n.after = &a
	}
	return n
}

func parseCondition(o *object, key string) *condition {
	path := o.path + key + "."
	c := o.document.object(o.value(key), path, numberKeys(conditionKeys...)...)
	if c == nil {
		return nil
	}
	when := &condition{number: numberOf(c), mask: ^uint64(0), values: c.numbers("value"), not: c.boolean("not")}
	if masks := c.numbers("mask"); len(masks) > 0 {
		when.mask = masks[0]
	}
	if !c.has("value") {
		c.fault("value", "want a number, or a list of them")
	}
	return when
}

func parseLines(o *object, p *description) {
	only(o, "delimiter", "magic", "id", "request_if", "oneway_if", "answer_if", "status", "class")
	if d := o.value("delimiter"); d.Kind == yaml.ScalarNode {
		p.delimiter = []byte(o.text("delimiter"))
	} else if d := o.document.object(d, "delimiter.", "hex", "text"); d != nil {
		if p.delimiter = d.bytes("hex", "text"); p.delimiter == nil && len(o.document.faults) == 0 {
			d.fault("hex", "want hex or text")
		}
	}
	p.requests = parseRules(o, "requests", ruleKeys[:2]...)
	p.answers = parseRules(o, "answers", ruleKeys[0], ruleKeys[2], ruleKeys[3])
}

func parseRules(o *object, key string, known ...string) (list []line) {
	for _, node := range o.list(key) {
		r := o.document.object(node, key+".", known...)
		if r == nil {
			continue
		}
		l := line{match: r.expression("match"), noAnswer: r.boolean("oneway"), continues: r.boolean("continues"), failed: r.boolean("failed")}
		if l.match == nil {
			if !r.has("match") {
				r.fault("match", "want a regular expression")
			}
			continue
		}
		l.length, l.class, l.oneway = l.match.SubexpIndex("length"), l.match.SubexpIndex("class"), l.match.SubexpIndex("oneway")
		list = append(list, l)
	}
	return list
}

func parseNoise(o *object, p *description) {
	for _, node := range o.list("noise") {
		n := o.document.object(node, "noise.", "offset", "bytes", "after", "regexp")
		switch {
		case n == nil:
		case n.has("regexp"):
			only(n, "regexp", "offset", "bytes", "after")
			if e := n.expression("regexp"); e != nil {
				p.blurs = append(p.blurs, e)
			}
		case p.delimiter != nil:
			n.fault("regexp", "want a regular expression, as lines have no offsets")
		default:
			size := int(n.number("bytes", 1, maxOffset, 1))
			span := number{offset: int(n.number("offset", 0, maxOffset, 0)), bytes: size}
			if !n.has("offset") || !n.has("bytes") {
				n.fault("offset", "want offset and bytes, or regexp")
			}
			if after := n.document.object(n.value("after"), "noise.after.", "offset", "bytes", "endian"); after != nil {
				a := numberOf(after)
				span.after = &a
			}
			p.noise = append(p.noise, span)
		}
	}
}
