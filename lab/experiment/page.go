package experiment

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
	"text/template"
)

//go:embed page.tmpl
var pageText string

// page is written from a fleet's words, which have no place in a cell of a table as they are.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"cell": cell, "row": row, "seconds": func(s float64) string { return fmt.Sprintf("%.1f", s) },
	"number": func(n float64) string { return fmt.Sprintf("%.4g", n) },
}).Parse(pageText))

// WritePage writes the observation as Markdown. Its charts are expected beside it, each in a file Name.svg.
func (o Observation) WritePage(w io.Writer) error {
	return page.Execute(w, o)
}

// index lists pages.
var index = template.Must(template.New("index").Funcs(template.FuncMap{"cell": cell}).Parse(
	"# Observations\n\n" +
		"What `go run ./lab run all` found: each page is of a real run, with its figures and how to repeat it.\n" +
		"`make soak` takes twenty minutes, and adds soak.md.\n\n" +
		"| experiment | claim | verdict | observed |\n|---|---|---|---|\n" +
		"{{range .}}| [{{.Name}}]({{.Name}}.md) | {{cell .Claim}} | {{.Verdict}} | " +
		"{{.Started.Format \"2006-01-02\"}}, {{printf \"%.0f\" .Took}} s |\n{{end}}"))

// WriteIndex writes a page that lists the pages of observations, which are expected beside it.
func WriteIndex(w io.Writer, list []Observation) error { return index.Execute(w, list) }

// Failed lists the checks that the claim fell with.
func (o Observation) Failed() []Check {
	var failed []Check
	for _, check := range o.Checks {
		if !check.Holds {
			failed = append(failed, check)
		}
	}
	return failed
}

// Command is how to run the experiment again.
func (o Observation) Command() string { return "go run ./lab run " + o.Name }

func cell(value any) string {
	text := fmt.Sprint(value)
	if n, ok := value.(float64); ok {
		text = fmt.Sprintf("%.4g", n)
	}
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}

func row(values any) string {
	var cells []string
	switch list := values.(type) {
	case []string:
		for _, value := range list {
			cells = append(cells, cell(value))
		}
	case []any:
		for _, value := range list {
			cells = append(cells, cell(value))
		}
	}
	return "| " + strings.Join(cells, " | ") + " |"
}
