package explore

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"

	"stateless-servers/lab/chart"
)

// columnWidth is the width of a request's column in a diagram of text, in characters.
const columnWidth = 34

// Text draws the finding as a sequence diagram for a terminal: a column for each request, with its store calls and its
// answer from top to bottom in the order in which they happened.
func (f Finding) Text(requests []string) string {
	var b strings.Builder
	line := func(column int, text string) {
		fmt.Fprintf(&b, "  %s%s\n", strings.Repeat(" ", column*columnWidth), text)
	}
	b.WriteString("  ")
	for i, name := range requests {
		heading := laneName(i) + ": " + name
		if i < len(requests)-1 {
			heading = pad(heading, columnWidth)
		}
		b.WriteString(heading)
	}
	b.WriteByte('\n')
	for _, s := range f.Steps {
		line(int(s.Request[0]-'A'), s.text())
	}
	fmt.Fprintf(&b, "  The browser now sees %s.\n  The old cookie opens %s.\n", f.Browser, f.OldCookie)
	if f.Promise != "" {
		fmt.Fprintf(&b, "  Broken: %s. %s\n", f.Promise, f.Sentence)
	}
	return b.String()
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(1, width-utf8.RuneCountInString(text)))
}

// text returns the step in one line.
func (s Step) text() string {
	switch {
	case s.Answer != "":
		return "== " + s.Answer
	case s.Fault != None:
		return s.Call + " ✗ " + s.Fault.meaning()
	case s.Reply != "":
		return s.Call + " -> " + s.Reply
	default:
		return s.Call
	}
}

// meaning says what the fault is, in a few words.
func (f Fault) meaning() string {
	return map[Fault]string{
		Drop: "reply lost", Refuse: "refused", Error: "error reply", Down: "store down", Kill: "server killed",
	}[f]
}

// Sizes of a diagram in SVG. Pages scale it.
const (
	laneWidth, stepHeight  = 300, 24
	headHeight, footHeight = 34, 78
	textLeft               = 14
	maxText                = 44 // characters in a column
)

// SVG draws the finding as a sequence diagram for a page that has the variables of chart.Style.
func (f Finding) SVG(requests []string) string { return f.draw(requests, "", "") }

// File draws the same as an SVG file that stands alone.
func (f Finding) File(requests []string) string {
	return f.draw(requests, ` xmlns="http://www.w3.org/2000/svg"`, "<style>"+chart.Style()+"</style>") + "\n"
}

func (f Finding) draw(requests []string, namespace, style string) string {
	width := len(requests) * laneWidth
	height := headHeight + len(f.Steps)*stepHeight + footHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg%s viewBox="0 0 %d %d" role="img" font-family="system-ui,sans-serif" font-size="12" fill="var(--chart-ink)">`, namespace, width, height)
	fmt.Fprintf(&b, "<title>%s: %s</title>%s", html.EscapeString(strings.Join(requests, " and ")), html.EscapeString(f.Sentence), style)
	text := func(x, y int, class, content string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d"%s>%s</text>`, x, y, class, html.EscapeString(shorten(content)))
	}
	for i, name := range requests {
		x := i * laneWidth
		text(x+textLeft, 20, ` font-weight="bold"`, laneName(i)+": "+name)
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="var(--chart-grid)"/>`, x+5, headHeight-6, x+5, height-footHeight)
	}
	for i, s := range f.Steps {
		x, y := int(s.Request[0]-'A')*laneWidth, headHeight+i*stepHeight
		colour := "var(--chart-1)"
		switch {
		case s.Fault != None:
			colour = "var(--chart-2)"
		case s.Answer != "":
			colour = "var(--chart-3)"
		}
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="4" fill="%s"/>`, x+5, y+8, colour)
		text(x+textLeft, y+12, "", strings.Replace(s.text(), "== ", "answers ", 1))
	}
	y := height - footHeight + 18
	text(textLeft, y, "", "The browser now sees "+f.Browser+".")
	text(textLeft, y+18, "", "The old cookie opens "+f.OldCookie+".")
	fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">%s</text></svg>`, textLeft, y+36, html.EscapeString("Broken: "+string(f.Promise)+"."))
	return b.String()
}

func shorten(text string) string {
	if utf8.RuneCountInString(text) <= maxText {
		return text
	}
	return string([]rune(text)[:maxText-1]) + "…"
}
