package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"l4dump/internal/verdict"
)

type testSuites struct {
	XMLName  xml.Name    `xml:"testsuites"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Suites   []testSuite `xml:"testsuite"`
}

type testSuite struct {
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Time     string     `xml:"time,attr,omitempty"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Name    string  `xml:"name,attr"`
	Class   string  `xml:"classname,attr"`
	Failure *reason `xml:"failure"`
	Error   *reason `xml:"error"`
}

type reason struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report for a build server: a suite for each protocol, a case for each class, which fails if the class
// has findings or is slower; and a case for the verdict, which is an error if it is inconclusive.
func (r *Report) JUnit(to io.Writer) error {
	var all testSuites
	for i := range r.Classes {
		class := &r.Classes[i]
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != class.Protocol {
			all.Suites = append(all.Suites, testSuite{Name: class.Protocol})
		}
		suite := &all.Suites[len(all.Suites)-1]
		name := class.Class
		if name == "" {
			name = class.Protocol
		}
		suite.add(testCase{Name: name, Class: "l4dump." + class.Protocol, Failure: r.failure(class)})
	}
	judged := testCase{Name: "verdict", Class: "l4dump"}
	switch why := (&reason{Message: r.Outcome.String(), Type: r.Outcome.String(), Text: strings.Join(r.Reasons, "\n")}); r.Outcome {
	case verdict.Same:
	case verdict.Inconclusive:
		judged.Error = why
	default:
		judged.Failure = why
	}
	suite := testSuite{Name: "verdict", Time: fmt.Sprintf("%.3f", r.Seconds)}
	suite.add(judged)
	all.Suites = append(all.Suites, suite)
	for i := range all.Suites {
		all.Tests += all.Suites[i].Tests
		all.Failures += all.Suites[i].Failures
		all.Errors += all.Suites[i].Errors
	}
	if _, err := io.WriteString(to, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(to)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(to, "\n")
	return err
}

func (s *testSuite) add(c testCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Error != nil {
		s.Errors++
	}
}

// failure is why a class fails; nil if it does not.
func (r *Report) failure(class *verdict.Class) *reason {
	var text strings.Builder
	first := ""
	for i := range r.Findings {
		f := &r.Findings[i]
		if !f.Doubtful && f.Protocol == class.Protocol && f.Class == class.Class {
			if first == "" {
				first = f.what()
			}
			f.text(&text, "CHANGED")
		}
	}
	for i := range r.Latencies {
		if l := &r.Latencies[i]; l.Slower && l.Protocol == class.Protocol && l.Class == class.Class {
			if first == "" {
				first = "slower"
			}
			l.text(&text, painter{})
		}
	}
	if first == "" {
		return nil
	}
	return &reason{Message: first, Type: "changed", Text: strings.TrimSpace(text.String())}
}
