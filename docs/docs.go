// Package docs reads the documents of this folder, so that tests hold what they say to the code. Nothing else imports it.
package docs

import (
	"embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed *.md
var files embed.FS

// Read returns the text of a document, such as "FORMAT.md".
func Read(name string) (string, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read document: %w", err)
	}
	return string(text), nil
}

// Section returns what stands below a heading of a document, such as "## Metrics", up to the next heading of any level.
func Section(name, heading string) (string, error) {
	text, err := Read(name)
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut("\n"+text, "\n"+heading+"\n")
	if !ok {
		return "", fmt.Errorf("read document %s: no heading %q", name, heading)
	}
	section, _, _ := strings.Cut(rest, "\n#")
	return section, nil
}

// Rows returns the rows of the tables in text, without their headings: the cells of each, trimmed.
func Rows(text string) (rows [][]string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		heading := i+1 < len(lines) && isRule(lines[i+1])
		if !strings.HasPrefix(line, "|") || isRule(line) || heading {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for c := range cells {
			cells[c] = strings.TrimSpace(cells[c])
		}
		rows = append(rows, cells)
	}
	return rows
}

// isRule tells whether line is the one between a table's heading and its rows.
func isRule(line string) bool {
	return strings.HasPrefix(line, "|") && strings.Trim(line, "|-: ") == ""
}

var code = regexp.MustCompile("`([^`]+)`")

// Codes returns what stands between single backquotes in text.
func Codes(text string) (codes []string) {
	for _, match := range code.FindAllStringSubmatch(text, -1) {
		codes = append(codes, match[1])
	}
	return codes
}
