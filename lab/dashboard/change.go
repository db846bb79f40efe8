package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"stateless-servers/lab/fleet"
)

// addTimeout bounds the launch of a server; its visitor may leave earlier, and the server is launched all the same.
const addTimeout = 15 * time.Second

func (p *Page) add(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), addTimeout)
	defer cancel()
	server, err := p.fleet.Add(ctx)
	switch {
	case errors.Is(err, fleet.ErrFull):
		refuse(w, r, problem{Status: http.StatusConflict, Detail: err.Error()})
	case err != nil:
		refuse(w, r, problem{Status: http.StatusServiceUnavailable, Detail: err.Error()})
	default:
		done(w, r, http.StatusCreated, server)
	}
}

func (p *Page) kill(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, http.StatusOK, p.fleet.Kill)
}

func (p *Page) stop(w http.ResponseWriter, r *http.Request) {
	p.change(w, r, http.StatusAccepted, func(name string) error { _, err := p.fleet.Stop(name); return err })
}

// change does something to the server that the path names, and answers with what the server was before: afterwards it
// may be gone.
func (p *Page) change(w http.ResponseWriter, r *http.Request, status int, do func(name string) error) {
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
		done(w, r, status, before)
	}
}

// maxForm bounds the body of a request, in bytes.
const maxForm = 1 << 10

func (p *Page) switchLoad(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name := r.PostFormValue("level")
	i := slices.IndexFunc(levels(), func(l Level) bool { return l.Name == name })
	if i < 0 {
		var names []string
		for _, level := range levels() {
			names = append(names, level.Name)
		}
		refuse(w, r, problem{Status: http.StatusUnprocessableEntity, Detail: `form field level: "` + name + `" is none`, Allowed: names})
		return
	}
	p.load.set(levels()[i])
	done(w, r, http.StatusAccepted, p.load.now())
}

// done answers a change: a browser's form goes back to the page.
func done(w http.ResponseWriter, r *http.Request, status int, value any) {
	if wantsHTML(r) {
		http.Redirect(w, r, Path, http.StatusSeeOther)
		return
	}
	answer(w, status, value)
}

func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
