package explore

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"

	"stateless-servers/lab/chart"
)

// A Report is the content of the file that lab explore --json writes. Its schema is in report.schema.json.
type Report struct {
	Runs []ServerReport `json:"runs"`
}

// A ServerReport is the exploration of one server program on one store.
type ServerReport struct {
	Server    string     `json:"server"`
	Store     string     `json:"store"`
	Seconds   float64    `json:"seconds"`
	Scenarios []Scenario `json:"scenarios"`
	Hanging   []Hanging  `json:"hanging,omitempty"` // what requests do while the store hangs, if that was tried
}

// Totals returns how many schedules were run, and how many of them broke a promise.
func (r ServerReport) Totals() (explored, broken int) {
	for _, s := range r.Scenarios {
		explored += s.Explored
		broken += s.Broken
	}
	return explored, broken
}

// Extent says which part of the schedules was run: "all", or "at most 3 switches".
func (c Counts) Extent() string {
	if c.Complete {
		return "all"
	}
	return fmt.Sprintf("at most %d switches", c.Switches)
}

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

//go:embed report.tmpl
var pageText string

// WriteHTML writes the report as one page that needs nothing else.
func (r Report) WriteHTML(w io.Writer) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"svg": func(f Finding, requests []string) template.HTML { return template.HTML(f.SVG(requests)) }, // #nosec G203 -- SVG escapes all texts
		"broken": func(r ServerReport) int {
			_, broken := r.Totals()
			return broken
		},
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		Report
		Style template.CSS
	}{r, template.CSS(chart.Style())}) // #nosec G203 -- constant text
}
