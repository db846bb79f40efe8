// Package dashboard is the page on which one watches and changes the lab's fleet, and its JSON interface. Both live
// under /_lab on the load balancer's own listener; no server of the fleet ever sees these requests.
package dashboard

import (
	"context"
	"embed"
	"html/template"
	"net"
	"net/http"
	"strings"
	"sync"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/fleet"
)

// Path is where the page is. Everything under it belongs to the page as well.
const Path = "/_lab"

// Contains reports whether the URL path is the page's, rather than the fleet's.
func Contains(path string) bool { return path == Path || strings.HasPrefix(path, Path+"/") }

// Info is what the page says of the lab. It doesn't change while the lab runs.
type Info struct {
	Store     config.StoreKind `json:"store"`
	StoreName string           `json:"store_name"` // for people: what it is and where
	Address   string           `json:"address"`    // host:port of the load balancer
	Sticky    bool             `json:"sticky"`
}

// Fleet is what the page shows and changes; *fleet.Fleet is one.
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

// Page is the handler of Path and everything under it. It answers only requests that name a loopback host, and refuses
// changes that another site's page asks for, for whoever reaches it can end processes.
type Page struct {
	http.Handler
	info     Info
	fleet    Fleet
	events   *Events
	watch    *watch
	store    *storeWatch
	load     *loadSwitch
	template *template.Template

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New returns a Page, which watches the fleet and its store until it is closed.
func New(info Info, f Fleet, events *Events) (*Page, error) {
	t, err := template.ParseFS(files, "files/*.tmpl")
	if err != nil {
		return nil, err
	}
	p := &Page{
		info: info, fleet: f, events: events, template: t,
		watch: newWatch(f), store: newStoreWatch(info.Store, f, events), load: newLoadSwitch(against("http://"+info.Address), events),
	}
	p.Handler = guard(p.routes())
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.running.Go(func() { p.watch.run(ctx) })
	p.running.Go(func() { p.store.run(ctx) })
	return p, nil
}

// Close ends the load, then the watching.
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
		{"GET /_lab", p.show},
		{"GET /_lab/live", p.live},
		{"GET /_lab/fleet", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.state()) }},
		{"POST /_lab/servers", p.add},
		{"POST /_lab/servers/{name}/kill", p.kill},
		{"POST /_lab/servers/{name}/stop", p.stop},
		{"POST /_lab/load", p.switchLoad},
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
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, problem{
			Status: http.StatusNotFound, Detail: r.Method + " " + r.URL.Path + " is nothing that the lab knows", Allowed: allowed,
		})
	})
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, problem{Status: http.StatusForbidden, Detail: "another site's page asked for this"})
	}))
	return sameSite.Handler(mux)
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
