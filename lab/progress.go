package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"stateless-servers/lab/chart"
	"stateless-servers/lab/load"
)

// progressView shows the progress of a load test: a line that it overwrites on a terminal, successive lines elsewhere.
type progressView struct {
	w        io.Writer
	terminal bool
	colours  bool
	shown    time.Duration // the time of the last line, without a terminal
}

// linesEvery is the time between two lines without a terminal.
const linesEvery = 2 * time.Second

func newProgressView(w io.Writer) *progressView {
	return &progressView{w: w, terminal: terminal(w), colours: colours(w)}
}

// colours reports whether to write colours to w; see no-color.org.
func colours(w io.Writer) bool {
	return terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func (v *progressView) show(p load.Progress) {
	text := progressText(p)
	if v.terminal && p.Total > 0 {
		text = bar(p) + " " + text
	}
	v.line(p.Elapsed, text, p.Requests > p.OK || p.Sessions.Violations() > 0)
}

// line shows a text, after some time, in red if something is wrong.
func (v *progressView) line(elapsed time.Duration, text string, wrong bool) {
	if !v.terminal {
		if elapsed-v.shown >= linesEvery-100*time.Millisecond {
			v.shown = elapsed
			fmt.Fprintln(v.w, text)
		}
		return
	}
	line := []rune(text)
	control(v.w, eraseLine)
	paint(v.w, v.colours && wrong, red, string(line[:min(len(line), columns(v.w)-1)]))
}

// end erases the line. Another load test may follow.
func (v *progressView) end() {
	v.shown = 0
	if v.terminal {
		control(v.w, eraseLine)
	}
}

func bar(p load.Progress) string {
	const width = 10
	full := int(min(1, p.Elapsed.Seconds()/p.Total.Seconds()) * width)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

func progressText(p load.Progress) string {
	text := fmt.Sprintf("%.0f s", p.Elapsed.Seconds())
	if p.Total > 0 {
		text = fmt.Sprintf("%.0f of %.0f s", min(p.Elapsed, p.Total).Seconds(), p.Total.Seconds())
	}
	if p.Phase != load.Measure {
		text += ", " + string(p.Phase)
	}
	text += fmt.Sprintf(": %.0f/s, p50 %s, p99 %s, %d errors", p.Rate, milliseconds(p.P50), milliseconds(p.P99), p.Requests-p.OK)
	if len(p.Errors) > 0 {
		text += " (" + classes(p.Errors) + ")"
	}
	if n := p.Sessions.Violations(); n > 0 {
		text += fmt.Sprintf(", violations: %d", n)
	}
	return text + shares(p.Servers, ", ")
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// shares lists the percentage of the requests that each server answered.
func shares(servers map[string]int64, before string) string {
	sum := int64(0)
	for _, n := range servers {
		sum += n
	}
	var b strings.Builder
	for _, name := range slices.SortedFunc(maps.Keys(servers), chart.CompareNames) {
		fmt.Fprintf(&b, "%s%s %.0f %%", before, name, 100*float64(servers[name])/float64(sum))
	}
	return b.String()
}

// classes lists the number of errors by class.
func classes(errors map[string]int64) string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(errors)) {
		parts = append(parts, fmt.Sprintf("%s %d", class, errors[class]))
	}
	return strings.Join(parts, ", ")
}
