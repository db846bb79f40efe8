// Package fleetpage is the page on which one watches and changes the lab's fleet, and its JSON interface. Both live
// under /_lab on the load balancer's own listener; no server of the fleet ever sees these requests.
package fleetpage

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"net"
	"net/http"
	"strings"
	"time"

	"stateless-servers/lab/fleet"
)

// Path is where the page is. Everything under it belongs to the page as well.
const Path = "/_lab"

// Contains reports whether the URL path is the page's, rather than the fleet's.
func Contains(path string) bool { return path == Path || strings.HasPrefix(path, Path+"/") }

// Info is what the page says of the lab. It doesn't change while the lab runs.
type Info struct {
	Store   string `json:"store"`   // the kind of store, as the servers call it
	Address string `json:"address"` // host:port of the load balancer
	Sticky  bool   `json:"sticky"`
}

// Fleet is what the page shows and changes; *fleet.Fleet is one.
type Fleet interface {
	Servers() []fleet.Server
	Server(name string) (fleet.Server, error)
	Add(ctx context.Context) (fleet.Server, error)
	Kill(name string) error
	Stop(name string) (stopped <-chan struct{}, err error)
}

// state is the answer of GET /_lab/fleet.
type state struct {
	Info
	Servers []fleet.Server `json:"servers"`
}

// Blank is the server of the row that the page's script copies.
func (state) Blank() fleet.Server { return fleet.Server{} }

//go:embed files
var files embed.FS

type page struct {
	info     Info
	fleet    Fleet
	template *template.Template
}

// New returns the handler of Path and everything under it. It answers only requests that name a loopback host, and refuses
// changes that another site's page asks for, for whoever reaches it can end processes.
func New(info Info, f Fleet) (http.Handler, error) {
	t, err := template.ParseFS(files, "files/page.tmpl")
	if err != nil {
		return nil, err
	}
	p := &page{info, f, t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_lab", p.show)
	mux.Handle("GET /_lab/{$}", http.RedirectHandler(Path, http.StatusMovedPermanently))
	mux.HandleFunc("GET /_lab/fleet", p.list)
	mux.HandleFunc("POST /_lab/servers", p.add)
	mux.HandleFunc("POST /_lab/servers/{name}/kill", p.kill)
	mux.HandleFunc("POST /_lab/servers/{name}/stop", p.stop)
	for _, name := range []string{"lab.css", "lab.js", "lab.svg"} {
		mux.HandleFunc("GET /_lab/"+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, files, "files/"+name)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, problem{Status: http.StatusNotFound, Detail: r.Method + " " + r.URL.Path + " is nothing that the lab knows", Allowed: []string{
			"GET /_lab", "GET /_lab/fleet", "POST /_lab/servers", "POST /_lab/servers/{name}/kill", "POST /_lab/servers/{name}/stop",
		}})
	})
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, problem{Status: http.StatusForbidden, Detail: "another site's page asked for this"})
	}))
	return guard(sameSite.Handler(mux)), nil
}

// guard lets only a loopback Host pass, so that no site can reach the lab by giving its own name a loopback address, and
// sets the headers of every answer.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !loopback(r.Host) {
			refuse(w, r, problem{Status: http.StatusForbidden, Detail: "the fleet is changed and seen from this machine only",
				Allowed: []string{"localhost", "127.0.0.1", "[::1]"}})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}

func (p *page) state() state { return state{p.info, p.fleet.Servers()} }

func (p *page) show(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if err := p.template.Execute(&body, p.state()); err != nil {
		refuse(w, r, problem{Status: http.StatusInternalServerError, Detail: err.Error()})
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w)
}

func (p *page) list(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.state()) }

// addWithin bounds the launch of a server; its visitor may leave earlier, and the server is launched all the same.
const addWithin = 15 * time.Second

func (p *page) add(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), addWithin)
	defer cancel()
	server, err := p.fleet.Add(ctx)
	if err != nil {
		refuse(w, r, problem{Status: http.StatusServiceUnavailable, Detail: err.Error()})
		return
	}
	p.done(w, r, http.StatusCreated, server)
}

func (p *page) kill(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, http.StatusOK, p.fleet.Kill)
}

func (p *page) stop(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, http.StatusAccepted, func(name string) error { _, err := p.fleet.Stop(name); return err })
}

// change does something to the server that the path names, and answers with what the server was before: afterwards it
// may be gone.
func (p *page) change(w http.ResponseWriter, r *http.Request, status int, do func(name string) error) {
	name := r.PathValue("name")
	before, err := p.fleet.Server(name)
	if err == nil {
		err = do(name)
	}
	switch {
	case errors.Is(err, fleet.ErrNoServer):
		var names []string
		for _, server := range p.fleet.Servers() {
			names = append(names, server.Name)
		}
		refuse(w, r, problem{Status: http.StatusNotFound, Detail: "no server is called " + name, Allowed: names})
	case err != nil:
		refuse(w, r, problem{Status: http.StatusConflict, Detail: err.Error()})
	default:
		if now, err := p.fleet.Server(name); err == nil {
			before = now
		}
		p.done(w, r, status, before)
	}
}

// done answers a change: a browser's form goes back to the page.
func (p *page) done(w http.ResponseWriter, r *http.Request, status int, server fleet.Server) {
	if wantsHTML(r) {
		http.Redirect(w, r, Path, http.StatusSeeOther)
		return
	}
	answer(w, status, server)
}

func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// problem is an error as RFC 9457 has it, with what is allowed.
type problem struct {
	Type    string   `json:"type"`
	Title   string   `json:"title"`
	Status  int      `json:"status"`
	Detail  string   `json:"detail"`
	Allowed []string `json:"allowed,omitempty"`
}

var problemPage = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<link rel="stylesheet" href="/_lab/lab.css"><main><h1>{{.Title}}</h1><p>{{.Detail}}</p>
{{with .Allowed}}<p>Allowed:</p><ul>{{range .}}<li>{{.}}</li>{{end}}</ul>{{end}}
<p><a href="/_lab">Back to the fleet</a></p></main></html>
`))

func refuse(w http.ResponseWriter, r *http.Request, p problem) {
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
