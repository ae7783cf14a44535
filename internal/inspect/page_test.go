package inspect_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
	"l4dump/internal/inspect"
)

// hostile is text that would do something, if a page took it for anything but text.
const hostile = `</script><script>document.title='owned'</script><img src=x onerror="document.title='owned'">&lt;b&gt;'"` +
	"`${1}\u2028\u202e<!--"

// hostileLog is a recording in which everything that comes from the network is hostile.
func hostileLog() string {
	r := newRecorder(1, 8080, startTime)
	r.open.Peer, r.open.SNI, r.open.Source, r.open.Destination = hostile, hostile, hostile[:90], hostile[:90]
	return r.begin().data(down, hostile).data(up, strings.Repeat(hostile, 20)).drop(down, "budget", 3).close("proxy").text()
}

// pageOf returns the page on a log.
func pageOf(t testing.TB, log, title string) string {
	summary := inspect.NewSummary(inspect.Options{Top: 10, Conversations: true})
	source := dumplog.NewSource(dumplog.Options{}, dumplog.Stream{Name: title, Reader: strings.NewReader(log)})
	_, err := capture.Read(context.Background(), summary, capture.Options{Reporter: summary}, source)
	require.NoError(t, err)
	summary.Report(source.LayottoLines())
	var b strings.Builder
	require.NoError(t, summary.WriteHTML(&b, title))
	return b.String()
}

// TestPage holds that a page loads nothing, and that nothing of a recording is more than text in it.
func TestPage(t *testing.T) {
	page := pageOf(t, hostileLog(), hostile)
	data := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindStringSubmatch(page)
	require.NotNil(t, data)
	require.NotContains(t, data[1], "<")
	rest := strings.Replace(page, data[1], "", 1)
	require.Equal(t, 2, strings.Count(rest, "<script"))
	require.Equal(t, 2, strings.Count(rest, "</script>"))
	require.NotContains(t, rest, "<img")
	require.NotRegexp(t, `<link|url\(|@import|https?:`, rest[:strings.Index(rest, "<body>")])
	require.NotRegexp(t, `https?://|fetch\(|XMLHttpRequest|WebSocket|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(`, rest)

	var read struct {
		Title       string `json:"title"`
		Connections struct {
			Peer  []string `json:"peer"`
			Turns [][]struct {
				Direction int    `json:"d"`
				Offset    uint64 `json:"o"`
				Bytes     []byte `json:"b"`
			} `json:"turns"`
		} `json:"connections"`
	}
	require.NoError(t, json.Unmarshal([]byte(data[1]), &read))
	require.Equal(t, hostile, read.Title)
	require.Equal(t, []string{hostile}, read.Connections.Peer)
	require.Equal(t, hostile, string(read.Connections.Turns[0][0].Bytes))
	require.Equal(t, strings.Repeat(hostile, 20), string(read.Connections.Turns[0][1].Bytes))
	require.Equal(t, 1, read.Connections.Turns[0][1].Direction)
}

// TestPageOfNothing holds that lists are there, though nothing is in them.
func TestPageOfNothing(t *testing.T) {
	page := pageOf(t, "nothing\n", "empty.log")
	require.NotContains(t, page[strings.Index(page, "application/json"):strings.Index(page, "</script>\n<script>")], "[null")
	require.NotContains(t, page, `"id":null`)
	require.NotContains(t, page, `"windows":null`)
}

func TestPageFails(t *testing.T) {
	summary := inspect.NewSummary(inspect.Options{Conversations: true})
	summary.Report(0)
	require.ErrorIs(t, summary.WriteHTML(full{}, "a"), errFull)
}
