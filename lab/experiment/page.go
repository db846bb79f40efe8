package experiment

import (
	_ "embed"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/template"
)

//go:embed page.tmpl
var pageText string

// page is the template of an observation. Texts from servers are escaped for the cells of Markdown tables.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"cell": cell, "row": row, "seconds": func(s float64) string { return fmt.Sprintf("%.1f", s) },
	"number": number,
}).Parse(pageText))

// WritePage writes the observation as Markdown. The page refers to its charts as files Name.svg beside it.
func (o Observation) WritePage(w io.Writer) error {
	return page.Execute(w, o)
}

// index is the template of the list of observations.
var index = template.Must(template.New("index").Funcs(template.FuncMap{"cell": cell}).Parse(
	"# Observations\n\n" +
		"The results of `go run ./lab run all`. Each page shows one real run, with its figures and the command that repeats it.\n" +
		"`make soak` takes twenty minutes and adds [soak.md](soak.md), `make scale` half an hour and adds [scale.md](scale.md).\n\n" +
		"| experiment | claim | verdict | observed |\n|---|---|---|---|\n" +
		"{{range .}}| [{{.Name}}]({{.Name}}.md) | {{cell .Claim}} | {{.Verdict}} | " +
		"{{.Started.Format \"2006-01-02\"}}, {{printf \"%.0f\" .Took}} s |\n{{end}}"))

// WriteIndex writes a page that links to the pages of the observations, which it expects beside it.
func WriteIndex(w io.Writer, list []Observation) error { return index.Execute(w, list) }

// Failed returns the assertions that don't hold.
func (o Observation) Failed() []Assertion {
	var failed []Assertion
	for _, assertion := range o.Assertions {
		if !assertion.Holds {
			failed = append(failed, assertion)
		}
	}
	return failed
}

// Command returns the shell command that repeats the experiment.
func (o Observation) Command() string { return "go run ./lab run " + o.Name }

// number returns an integer with all its digits, and any other number with four.
func number(n float64) string {
	if n == math.Trunc(n) {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprintf("%.4g", n)
}

func cell(value any) string {
	text := fmt.Sprint(value)
	if n, ok := value.(float64); ok {
		text = number(n)
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
