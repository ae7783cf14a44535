package inspect

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// The parts of the page.
var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/*.js
	pageScripts embed.FS
	pageJS      = script("model", "selection", "list", "timeline", "conversation", "overview", "start")
)

// script returns the page's one script. Its files share what they define, and define nothing for the page.
func script(names ...string) string {
	var b strings.Builder
	b.WriteString("\"use strict\";\n(() => {\n")
	for _, name := range names {
		text, err := pageScripts.ReadFile("page/" + name + ".js")
		if err != nil {
			panic(err) // it is not embedded
		}
		b.Write(text)
	}
	b.WriteString("})();\n")
	return b.String()
}

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pageData is what the page's script reads. Times are milliseconds after Start.
type pageData struct {
	Title       string       `json:"title"`
	Start       string       `json:"start"` // RFC 3339
	Report      *Report      `json:"report"`
	Texts       pageTexts    `json:"texts"`
	Connections pageColumns  `json:"connections"`
	LeftOut     pageLeftOut  `json:"left_out"`
	Windows     []pageWindow `json:"windows"`
	Series      *pageSeries  `json:"series"`
	Sample      []string     `json:"sample"`
	Causes      []pageCause  `json:"causes"`
}

// pageTexts are what the page says in the words of the tables.
type pageTexts struct {
	States map[string]string `json:"states"`
	Faults map[string]string `json:"faults"`
}

// pageLeftOut is what is not in the page.
type pageLeftOut struct {
	Connections uint64 `json:"connections"`
	Truncated   int    `json:"truncated"`
}

type pageWindow struct {
	Start  float64 `json:"start"`
	Length float64 `json:"length"` // as far as it is known
}

type pageSeries struct {
	Start float64 `json:"start"`
	Width float64 `json:"width"`
}

type pageCause struct {
	State       string `json:"state"`
	Text        string `json:"text"`
	Connections uint64 `json:"connections"`
}

// pageColumns are the connections, one list for each of their properties.
type pageColumns struct {
	ID          []string     `json:"id"`
	Port        []uint16     `json:"port"`
	Source      []string     `json:"source"`
	Destination []string     `json:"destination"`
	Peer        []string     `json:"peer"`
	Protocol    []string     `json:"protocol"`
	Name        []string     `json:"name"`
	Window      []string     `json:"window"`
	First       []float64    `json:"first"`
	Lasted      []float64    `json:"lasted"`
	Downstream  []uint64     `json:"downstream"`
	Upstream    []uint64     `json:"upstream"`
	State       []string     `json:"state"`
	Why         []string     `json:"why"`
	By          []string     `json:"by"`
	Ends        [][2]bool    `json:"ends"`
	Truncated   []bool       `json:"truncated"`
	Faults      [][]string   `json:"faults"`
	MoreFaults  []uint64     `json:"more_faults"`
	Turns       [][]pageTurn `json:"turns"`
}

type pageTurn struct {
	Direction int     `json:"d"`
	Offset    uint64  `json:"o"`
	Time      float64 `json:"t"`
	Bytes     []byte  `json:"b"` // base64
}

// WriteHTML writes a page for a browser, which shows the report, the connections and their conversations. It is complete
// in itself and loads nothing. title names the recording. The Summary must have been told to keep conversations.
func (s *Summary) WriteHTML(w io.Writer, title string) error {
	text, err := json.Marshal(s.pageData(title)) // which escapes what could end a script
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	err = pageTemplate.Execute(w, map[string]any{
		"Title": title,
		"Policy": "default-src 'none'; style-src " + hashOf(pageCSS) + "; script-src " + hashOf(pageJS) +
			"; base-uri 'none'; form-action 'none'",
		"CSS":  template.CSS(pageCSS), //nolint:gosec // it is embedded
		"JS":   template.JS(pageJS),   //nolint:gosec // it is embedded
		"Data": template.JS(text),     //nolint:gosec // JSON in which '<', '>' and '&' are escaped
	})
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// hashOf is how a content security policy names a script or style that may be used.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (s *Summary) pageData(title string) *pageData {
	r := &s.report
	after := func(ns int64) float64 {
		if d := ns - s.first; (d < 0) == (ns < s.first) {
			return float64(d) / 1e6
		}
		return (float64(ns) - float64(s.first)) / 1e6 // a clock that is centuries off
	}
	data := &pageData{
		Title: title, Start: r.First, Report: r,
		Texts:  pageTexts{States: stateTexts, Faults: map[string]string{}},
		Sample: nonNil(r.Sample.sentences()), Windows: []pageWindow{}, Causes: []pageCause{},
		Connections: newPageColumns(len(s.kept.list)),
		LeftOut:     pageLeftOut{Connections: s.kept.leftOut},
	}
	for _, fault := range r.Faults {
		data.Texts.Faults[fault.Kind] = faultText(fault.Kind)
	}
	for i := range r.States {
		for j := range r.States[i].Causes {
			c := &r.States[i].Causes[j]
			data.Causes = append(data.Causes, pageCause{r.States[i].State, causeText(c), c.Connections})
		}
	}
	for _, each := range s.windows.byID {
		if each.known {
			data.Windows = append(data.Windows, pageWindow{after(each.Start * 1_000_000_000), float64(each.within) / 1e6})
		}
	}
	if len(s.series.steps) > 0 {
		data.Series = &pageSeries{after(s.series.first * s.series.width), float64(s.series.width) / 1e6}
	}
	for _, one := range s.kept.list {
		if one.truncated {
			data.LeftOut.Truncated++
		}
		data.Connections.add(one, after)
	}
	return data
}

// newPageColumns returns columns for n connections.
func newPageColumns(n int) pageColumns {
	return pageColumns{
		ID:          make([]string, 0, n),
		Port:        make([]uint16, 0, n),
		Source:      make([]string, 0, n),
		Destination: make([]string, 0, n),
		Peer:        make([]string, 0, n),
		Protocol:    make([]string, 0, n),
		Name:        make([]string, 0, n),
		Window:      make([]string, 0, n),
		First:       make([]float64, 0, n),
		Lasted:      make([]float64, 0, n),
		Downstream:  make([]uint64, 0, n),
		Upstream:    make([]uint64, 0, n),
		State:       make([]string, 0, n),
		Why:         make([]string, 0, n),
		By:          make([]string, 0, n),
		Ends:        make([][2]bool, 0, n),
		Truncated:   make([]bool, 0, n),
		Faults:      make([][]string, 0, n),
		MoreFaults:  make([]uint64, 0, n),
		Turns:       make([][]pageTurn, 0, n),
	}
}

func (p *pageColumns) add(one *transcript, after func(int64) float64) {
	row := &one.row
	p.ID = append(p.ID, row.ID)
	p.Port = append(p.Port, row.Port)
	p.Source = append(p.Source, row.Source)
	p.Destination = append(p.Destination, row.Destination)
	p.Peer = append(p.Peer, row.Peer)
	p.Protocol = append(p.Protocol, row.title)
	p.Name = append(p.Name, row.Name)
	p.Window = append(p.Window, row.Window)
	p.First = append(p.First, after(one.first))
	p.Lasted = append(p.Lasted, float64(row.nanos)/1e6)
	p.Downstream = append(p.Downstream, row.Bytes.Downstream)
	p.Upstream = append(p.Upstream, row.Bytes.Upstream)
	p.State = append(p.State, row.State)
	p.Why = append(p.Why, row.Why)
	p.By = append(p.By, row.By)
	p.Ends = append(p.Ends, one.ends)
	p.Truncated = append(p.Truncated, one.truncated)
	p.Faults = append(p.Faults, nonNil(one.faults))
	p.MoreFaults = append(p.MoreFaults, one.more)
	turns := make([]pageTurn, len(one.turns))
	for i, t := range one.turns {
		turns[i] = pageTurn{int(t.direction), t.offset, after(t.time), t.bytes}
	}
	p.Turns = append(p.Turns, turns)
}
