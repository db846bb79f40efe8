package compare

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A document holds the blocks of a report in reading order. It is rendered as text, Markdown or HTML.
type document []block

// A block is a heading, a paragraph, a list, a list of shell commands, a table or the chart. Exactly one of its fields is set.
type block struct {
	heading string
	text    string
	list    []string
	shell   bool // the list has commands
	table   *table
	chart   bool // only in HTML
}

// A table has textColumns columns of text, aligned to the left, and then columns of numbers, aligned to the right.
type table struct {
	head        []string
	textColumns int
	spare       int // the column that narrow terminals omit; 0 for none
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

// writeText writes the document for a terminal with that many columns, or 0 for no terminal, without the chart.
func (d document) writeText(w io.Writer, columns int) error {
	for i, b := range d {
		if i > 0 && !b.chart {
			fmt.Fprintln(w)
		}
		switch {
		case b.heading != "":
			fmt.Fprintf(w, "%s\n%s\n", b.heading, strings.Repeat("-", utf8.RuneCountInString(b.heading)))
		case b.table != nil:
			b.table.writeText(w, columns)
		case b.list != nil:
			writeList(w, b, columns)
		case b.text != "":
			fmt.Fprintln(w, wrapText(b.text, min(110, cmp.Or(columns, 110))))
		}
	}
	return nil
}

// writeList writes the items of a list. On a terminal the lines that follow the first one of an item are indented further, and a
// command ends each line but the last with a backslash.
func writeList(w io.Writer, b block, columns int) {
	for _, item := range b.list {
		if columns > 0 && b.shell {
			item = strings.ReplaceAll(wrapText(item, columns-6), "\n", " \\\n    ")
		} else if columns > 0 {
			item = strings.ReplaceAll(wrapText(item, columns-4), "\n", "\n    ")
		}
		fmt.Fprintf(w, "  %s\n", item)
	}
}

// writeText writes the table with aligned columns. If it is too wide for the columns of the terminal it breaks the head, and if it
// still is, it omits the spare column, or writes each row as a list.
func (t table) writeText(w io.Writer, columns int) {
	rows := append([][]string{t.head}, t.rows...)
	widths := t.widths(rows)
	if columns > 0 && sum(widths) > columns {
		widths = t.widths(t.rows)
		var head [][]string
		for i, cell := range t.head {
			for _, word := range strings.Fields(cell) {
				widths[i] = max(widths[i], utf8.RuneCountInString(word))
			}
			for n, part := range strings.Split(wrapText(cell, widths[i]), "\n") {
				if n == len(head) {
					head = append(head, make([]string, len(t.head)))
				}
				head[n][i] = part
			}
		}
		rows = append(head, t.rows...)
	}
	if columns > 0 && sum(widths) > columns && t.spare > 0 {
		t.without(t.spare).writeText(w, columns)
		return
	}
	if columns > 0 && sum(widths) > columns {
		name := slices.Max(t.widths([][]string{t.head}))
		for _, row := range t.rows {
			fmt.Fprintln(w, row[0])
			for i := 1; i < len(row); i++ {
				fmt.Fprintf(w, "  %-*s  %s\n", name, t.head[i], row[i])
			}
		}
		return
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < t.textColumns {
				line.WriteString(cell + space + "  ")
			} else {
				line.WriteString(space + cell + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// without returns the table without one of its columns of text.
func (t table) without(column int) table {
	narrow := table{head: slices.Delete(slices.Clone(t.head), column, column+1), textColumns: t.textColumns - 1}
	for _, row := range t.rows {
		narrow.rows = append(narrow.rows, slices.Delete(slices.Clone(row), column, column+1))
	}
	return narrow
}

// widths returns the width of each column of the rows.
func (t table) widths(rows [][]string) []int {
	widths := make([]int, len(t.head))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// sum returns the width of a table with columns of these widths.
func sum(widths []int) int {
	total := -2 // there is space between columns only
	for _, width := range widths {
		total += width + 2
	}
	return total
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
