// Package dashboard is the web page that shows and changes the lab's fleet, with its JSON API. Both are served under /_lab on the
// listener of the load balancer; the servers of the fleet don't see these requests. The page adds, stops and kills servers,
// pauses the store, and switches a load on and off. It shows the responses that Page.Observe counts. It is kept up to date with
// server-sent events, and its forms work without JavaScript too. New returns a Page, which is an http.Handler. Start reading at
// Page.routes.
package dashboard

import (
	"context"
	"embed"
	"html/template"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/chart"
	"stateless-servers/lab/fleet"
)

// Path is the URL path of the page. Everything under it belongs to the page as well.
const Path = "/_lab"

// Contains reports whether the URL path belongs to the page and not to the fleet.
func Contains(path string) bool { return path == Path || strings.HasPrefix(path, Path+"/") }

// Info has the properties of the lab that don't change while it runs.
type Info struct {
	Store     config.StoreKind `json:"store"`
	StoreName string           `json:"store_name"` // for people, such as "Valkey at 127.0.0.1:6379"
	Address   string           `json:"address"`    // host:port of the load balancer
	Sticky    bool             `json:"sticky"`
}

// Fleet has the methods of *fleet.Fleet that the page uses.
type Fleet interface {
	Servers() []fleet.Server
	Server(name string) (fleet.Server, error)
	Errors() balancer.Errors
	Add(ctx context.Context) (fleet.Server, error)
	Kill(name string) error
	Stop(name string) (stopped <-chan struct{}, err error)
}

//go:embed files
var files embed.FS

// A Page handles Path and everything under it. Because its requests can end processes, it refuses requests whose Host is not a
// loopback one, and POST requests from other sites.
type Page struct {
	http.Handler
	info     Info
	fleet    Fleet
	events   *Events
	sampler  *sampler
	store    *storeMonitor
	load     *loadSwitch
	template *template.Template

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New returns a Page that samples the fleet and monitors its store until it is closed. Store is nil if it can't be paused.
func New(info Info, f Fleet, store Store, events *Events) (*Page, error) {
	t, err := template.ParseFS(files, "files/*.tmpl")
	if err != nil {
		return nil, err
	}
	p := &Page{
		info: info, fleet: f, events: events, template: t,
		sampler: newSampler(f), store: newStoreMonitor(info.Store, store, f, events), load: newLoadSwitch(loadRunner("http://"+info.Address), events),
	}
	p.Handler = loopbackOnly(p.routes())
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.running.Go(func() { p.sampler.run(ctx) })
	p.running.Go(func() { p.store.run(ctx) })
	return p, nil
}

// Close ends the load, the sampling and the monitoring.
func (p *Page) Close() {
	p.load.close()
	p.cancel()
	p.running.Wait()
}

func (p *Page) routes() http.Handler {
	routes := []struct {
		pattern string
		handle  http.HandlerFunc
	}{
		{"GET /_lab", p.servePage},
		{"GET /_lab/live", p.stream},
		{"GET /_lab/fleet", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, p.state(1)) }},
		{"POST /_lab/servers", p.add},
		{"POST /_lab/servers/{name}/kill", p.kill},
		{"POST /_lab/servers/{name}/stop", p.stop},
		{"POST /_lab/load", p.switchLoad},
		{"POST /_lab/store/pause", func(w http.ResponseWriter, r *http.Request) { p.pauseStore(w, r, true) }},
		{"POST /_lab/store/resume", func(w http.ResponseWriter, r *http.Request) { p.pauseStore(w, r, false) }},
	}
	var allowed []string
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.pattern, route.handle)
		allowed = append(allowed, route.pattern)
	}
	mux.Handle("GET /_lab/{$}", http.RedirectHandler(Path, http.StatusMovedPermanently))
	for _, name := range []string{"lab.css", "lab.js", "lab.svg"} {
		mux.HandleFunc("GET /_lab/"+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, files, "files/"+name)
		})
	}
	mux.HandleFunc("GET /_lab/servers.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = io.WriteString(w, chart.ServerStyle())
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, problem{
			Status: http.StatusNotFound, Detail: r.Method + " " + r.URL.Path + " does not exist", Allowed: allowed,
		})
	})
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, problem{Status: http.StatusForbidden, Detail: "the request comes from a page of another site"})
	}))
	return sameSite.Handler(mux)
}

// loopbackOnly refuses requests whose Host is not a loopback one, so that no site can reach the lab by resolving its own name to
// a loopback address (DNS rebinding). It also sets the security headers of every response.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !isLoopback(r.Host) {
			writeProblem(w, r, problem{Status: http.StatusForbidden, Detail: "the fleet can be seen and changed from this machine only",
				Allowed: []string{"localhost", "127.0.0.1", "[::1]"}})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}
