package compare

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// A document holds the blocks of a report in reading order. It is rendered as text, Markdown or HTML.
type document []block

// A block is a heading, a paragraph, a list, a table or the chart. Exactly one of its fields is set.
type block struct {
	heading string
	text    string
	list    []string
	table   *table
	chart   bool // only in HTML
}

// A table has textColumns columns of text, aligned to the left, and then columns of numbers, aligned to the right.
type table struct {
	head        []string
	textColumns int
	rows        [][]string
}

func (d *document) heading(format string, values ...any) {
	*d = append(*d, block{heading: fmt.Sprintf(format, values...)})
}

func (d *document) text(format string, values ...any) {
	*d = append(*d, block{text: fmt.Sprintf(format, values...)})
}

func (d *document) list(items []string) {
	if len(items) > 0 {
		*d = append(*d, block{list: items})
	}
}

func (d *document) table(t table) { *d = append(*d, block{table: &t}) }

// writeText writes the document for a terminal, without the chart.
func (d document) writeText(w io.Writer) error {
	for i, b := range d {
		if i > 0 && !b.chart {
			fmt.Fprintln(w)
		}
		switch {
		case b.heading != "":
			fmt.Fprintf(w, "%s\n%s\n", b.heading, strings.Repeat("-", utf8.RuneCountInString(b.heading)))
		case b.table != nil:
			b.table.writeText(w)
		case b.list != nil:
			for _, item := range b.list {
				fmt.Fprintf(w, "  %s\n", item)
			}
		case b.text != "":
			fmt.Fprintln(w, wrapText(b.text, 110))
		}
	}
	return nil
}

// writeText writes the table with aligned columns.
func (t table) writeText(w io.Writer) {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = cell; i >= t.textColumns {
				cells[i] = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + cell
			}
		}
		fmt.Fprintln(out, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	out.Flush()
}

// wrapText breaks the text at spaces into lines of at most width characters. A longer word gets a line of its own.
func wrapText(text string, width int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return strings.Join(append(lines, line), "\n")
}

// writeMarkdown writes the document as Markdown, without the chart.
func (d document) writeMarkdown(w io.Writer) error {
	escape := strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`, "\n", " ", "\r", " ").Replace
	code := strings.NewReplacer("`", "'", "\n", " ", "\r", " ").Replace
	first := true
	for _, b := range d {
		if b.chart {
			continue
		}
		if !first {
			fmt.Fprintln(w)
		}
		first = false
		switch {
		case b.heading != "":
			fmt.Fprintf(w, "## %s\n", escape(b.heading))
		case b.table != nil:
			for _, row := range append([][]string{b.table.head, b.table.rule()}, b.table.rows...) {
				cells := make([]string, len(row))
				for i, cell := range row {
					cells[i] = escape(cell)
				}
				fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
			}
		case b.list != nil:
			for _, item := range b.list {
				fmt.Fprintf(w, "- `%s`\n", code(item))
			}
		default:
			fmt.Fprintln(w, escape(b.text))
		}
	}
	return nil
}

// rule returns the Markdown row below the head, which aligns the columns.
func (t table) rule() []string {
	rule := make([]string, len(t.head))
	for i := range rule {
		if rule[i] = "---"; i >= t.textColumns {
			rule[i] = "---:"
		}
	}
	return rule
}
