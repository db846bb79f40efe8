package dashboard

import (
	"encoding/json"
	"html/template"
	"net/http"
)

// A problem is a problem document of RFC 9457, with the allowed values.
type problem struct {
	Type    string   `json:"type"`
	Title   string   `json:"title"`
	Status  int      `json:"status"`
	Detail  string   `json:"detail"`
	Allowed []string `json:"allowed,omitempty"`
}

var problemPage = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{{.Title}} – Stateless Servers</title>
<link rel="icon" href="/_lab/lab.svg" type="image/svg+xml"><link rel="stylesheet" href="/_lab/lab.css"></head>
<body><main class="panel failure"><h1>{{.Title}}</h1><p>{{.Detail}}</p>
{{with .Allowed}}<p>Allowed:</p><ul>{{range .}}<li>{{.}}</li>{{end}}</ul>{{end}}
<p><a href="/_lab">Back to the fleet</a></p></main></body></html>
`))

func writeProblem(w http.ResponseWriter, r *http.Request, p problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	if wantsHTML(r) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(p.Status)
		_ = problemPage.Execute(w, p)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
