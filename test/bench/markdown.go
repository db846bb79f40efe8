package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

const page = `# What sessions cost a server

A server process alone on one CPU; load, and the store, on the other. CPU time is the server's own (getrusage: user and
system), for one request; the rest of the machine doesn't count. Microseconds are those of this machine: what carries
over is the ratios, which are of one run, and within it of neighbouring fractions of a second.

Measured by ` + "`make bench`" + `, {{.Started.Format "2 January 2006, 15:04 MST"}}.
{{- with .Machine}} {{.CPU}}, {{.CPUs}} CPUs; Linux {{.Kernel}}; {{.Go}}{{with .Store}}; {{.}}{{end}}.
Load averages (1, 5, 15 minutes) before the run {{.LoadBefore}}, after it {{.LoadAfter}}.{{end}}

{{versions .}}
{{if .Timings}}
## CPU time, allocations and store calls

A visitor has a session of four keys, and the cookie of it in every request. **untouched**: the handler doesn't use the
session; **read**: it answers the visit count; **write**: it adds one visit and answers the new count. {{.Visitors}} visitors
at once, on connections that stay open; {{.Rounds}} rounds, with new server processes in each; in a round they take turns, in all
{{.Requests}} requests of a route, after a warm-up. Medians over the turns; a ratio is the median of the turns' ratios. Every
answer was checked.

| | route | CPU µs | to no session | to bare calls | requests/s | allocations | store calls |
|---|---|---:|---:|---:|---:|---:|---|
{{range .Timings -}}
| {{.Title}} | {{.Route}} | {{.CPU | printf "%.1f"}} | {{times .ToNone}} | {{times .ToBare}} |
{{- .PerSecond | printf " %.0f"}} | {{.Mallocs | printf "%.0f"}} | {{.Calls}} |
{{end}}
- Bare calls are the floor: find the cookie, take its SHA-256, one HGETALL or one script (or GetItem, UpdateItem), answer.
  The script is the shortest that changes only what exists; app/session's also checks expiry and size, and returns the
  whole state.
- Bare middleware is the floor where the session isn't used: it puts a value into the request's context, which takes a copy
  of the request, and itself before the response, and does nothing with either.
- Store calls are those of a client, counted exactly; what a script does inside the store is none. Once in a tenth of the
  idle timeout (here 3 minutes) a session that is only read costs app/session one call more, which extends it.
- For DynamoDB a stub answers, with answers of the same bytes as DynamoDB's, over plain HTTP: what it costs to answer isn't
  the server's, and TLS would add the same to both.
{{end}}{{if .Targets}}
## Targets

| | route | CPU at most | is | store calls | met |
|---|---|---|---:|---:|---|
{{range .Targets -}}
| {{title .Variant}} | {{.Route}} | {{.Most | printf "%.2f"}}× {{title .Base}} | {{times .Is}} | {{.Calls}} |
{{- if .Met}} yes{{else}} **no**{{end}} |
{{end}}{{end}}{{if .Units}}
## DynamoDB request units

Per thousand requests of one visitor, of which 500 don't use the session, 400 read and 100 write, as DynamoDB Local reports
them (ReturnConsumedCapacity). *Eager* is what express-session with connect-dynamodb sends: every request loads the
session and then writes or touches it. How often a session that is only read has to be extended depends on the time between
two requests.

| session | a request every | write units | eager | read units | eager | fewer write units |
|---:|---:|---:|---:|---:|---:|---:|
{{range .Units -}}
| {{.Bytes}} B | {{.Pace}} | {{.OwnWrites}} | {{.EagerWrites}} | {{.OwnReads}} | {{.EagerReads}} |
{{- fewer .EagerWrites .OwnWrites}} |
{{end}}{{end}}{{if .Kept}}
## What is kept

Two server processes on one store. **Increments**: 1000 of one session, 16 at a time, by handlers that read the session and
then add one; at once, or 5 ms after reading. **Abandoned**: 20 writes whose client gives up before the server answers.
**Back after logout**: 20 sessions, ended on one server while a request that began before works on the other, and then
writes, or only reads.

| | increments kept of 1000 | with 5 ms of work | abandoned writes kept of 20 | back after logout by a write | by a read |
|---|---:|---:|---:|---:|---:|
{{range .Kept -}}
| {{title .Variant}} | {{.Increments}} | {{.SlowIncrements}} | {{.Abandoned}} | {{.ByWrite}} | {{.ByRead}} |
{{end}}{{end}}`

var functions = template.FuncMap{
	"times": func(ratio float64) string {
		if ratio == 0 {
			return "–"
		}
		return strconv.FormatFloat(ratio, 'f', 2, 64) + "×"
	},
	"fewer": func(eager, own float64) string { return fmt.Sprintf(" %.1f×", eager/own) },
	"title": func(name string) string {
		v, _ := variantNamed(name)
		return v.Title
	},
	"versions": func(r *Report) string {
		var list []string
		for _, module := range slices.Sorted(maps.Keys(r.Modules)) {
			list = append(list, "- "+module+" "+r.Modules[module])
		}
		return strings.Join(list, "\n")
	},
}

// markdown is the report for people.
func (r *Report) markdown() (string, error) {
	t, err := template.New("page").Funcs(functions).Parse(page)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = t.Execute(&text, r)
	return text.String(), err
}
