// Package report writes the HTML report of a load test, and a summary in Markdown. Write makes one self-contained file, without
// scripts or external references, for light and dark pages. A table repeats the figures of every chart for screen readers. Servers
// and LatencyLine make charts that package experiment shows, too.
package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	texttemplate "text/template"

	"stateless-servers/lab/chart"
	"stateless-servers/lab/load"
)

//go:embed report.css
var css string

//go:embed report.tmpl
var text string

//go:embed summary.tmpl
var summaryText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"ms":  func(n float64) string { return fmt.Sprintf("%.2f", n) },
	"g":   func(n float64) string { return fmt.Sprintf("%.4g", n) },
	"inc": func(n int) int { return n + 1 },
	"svg": func(c chart.Chart) template.HTML { return template.HTML(c.SVG() + c.Narrow()) }, // #nosec G203 -- package chart escapes all texts
}).Parse(text))

var summaryPage = texttemplate.Must(texttemplate.New("summary").Funcs(texttemplate.FuncMap{
	"cell":   strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "<", "&lt;", "`", "'", "[", `\[`, "*", `\*`, "_", `\_`).Replace,
	"indent": func(s string) string { return "    " + strings.NewReplacer("\n", "\n    ", "\r", "\n    ").Replace(s) },
}).Parse(summaryText))

// WriteMarkdown writes a summary of the result as Markdown, for pages such as the job summary of GitHub Actions. It makes one
// call of Write, so that several programs can append to one file.
func WriteMarkdown(w io.Writer, r load.Result) error {
	var text bytes.Buffer
	err := summaryPage.Execute(&text, view{Result: r})
	if err == nil {
		_, err = text.WriteTo(w)
	}
	if err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}

// view is the data of the templates.
type view struct {
	load.Result
	Style template.CSS
	Names []string // the names of the servers

	Curve, Latencies, Traffic chart.Chart
}

type violation struct {
	Name, Meaning string
	Count         int64
}

// Write writes the report of the result. The error says that a histogram can't be read, or that writing failed.
func Write(w io.Writer, r load.Result) error {
	// #nosec G203 -- the page's own style
	v := view{Result: r, Style: template.CSS(chart.Style() + css), Names: serverNames(r.Series)}
	var err error
	if v.Curve, err = latencyCurve(r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	v.Latencies = latencyOverTime(r)
	v.Traffic = Servers(r, "Requests per server over time. The table of seconds has its figures.")
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// Correctness returns the consistency violations of each kind.
func (v view) Correctness() []violation {
	c := v.Sessions
	return []violation{
		{"sessions lost", "gone without a logout", c.Lost},
		{"updates lost", "acknowledged additions that sessions have lost", c.LostUpdates},
		{"stale reads", "responses that lacked an acknowledged addition that a later one had", c.StaleReads},
		{"cross-session leaks", "responses with another visitor's data, or with more than was ever added", c.CrossSessionLeaks},
		{"alive after logout", "sessions that a request with the old cookie still reached", c.AliveAfterLogout},
	}
}

// Headline says the verdict in a sentence.
func (v view) Headline() string {
	switch n := len(v.Thresholds); v.Verdict {
	case load.Passed:
		return fmt.Sprintf("Passed: %d of %d thresholds hold.", n, n)
	case load.Failed:
		return fmt.Sprintf("Failed: %d of %d thresholds exceeded.", v.Exceeded(), n)
	case load.Interrupted:
		return fmt.Sprintf("Interrupted: the figures apply to the %.4g s that were measured.", v.Duration)
	}
	return "Not judged: no threshold was set."
}

// Bad reports whether the verdict is a bad one.
func (v view) Bad() bool { return v.Verdict == load.Failed || v.Verdict == load.Interrupted }

// FailedRequests returns the number of failed requests.
func (v view) FailedRequests() int64 { return v.Requests - v.OK }

// Percent returns the percentage of the requests that were answered correctly.
func (v view) Percent() float64 {
	if v.Requests == 0 {
		return 0
	}
	return 100 * float64(v.OK) / float64(v.Requests)
}

// Missed reports whether the target rate was missed.
func (v view) Missed() bool { return v.RateAchieved < load.SustainedShare*v.RateTarget }
