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

// addTimeout bounds the launch of a server. The launch goes on if the client disconnects.
const addTimeout = 15 * time.Second

func (p *Page) add(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), addTimeout)
	defer cancel()
	server, err := p.fleet.Add(ctx)
	switch {
	case errors.Is(err, fleet.ErrFull):
		writeProblem(w, r, problem{Status: http.StatusConflict, Detail: err.Error()})
	case err != nil:
		writeProblem(w, r, problem{Status: http.StatusServiceUnavailable, Detail: err.Error()})
	default:
		respond(w, r, http.StatusCreated, server)
	}
}

func (p *Page) kill(w http.ResponseWriter, r *http.Request) {
	p.actOnServer(w, r, http.StatusOK, p.fleet.Kill)
}

func (p *Page) stop(w http.ResponseWriter, r *http.Request) {
	p.actOnServer(w, r, http.StatusAccepted, func(name string) error { _, err := p.fleet.Stop(name); return err })
}

// actOnServer calls do with the name of the server in the path and responds with the server, as it is afterwards or, if it is
// gone, as it was before.
func (p *Page) actOnServer(w http.ResponseWriter, r *http.Request, status int, do func(name string) error) {
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
		writeProblem(w, r, problem{Status: http.StatusNotFound, Detail: "there is no server " + name, Allowed: names})
	case err != nil:
		writeProblem(w, r, problem{Status: http.StatusConflict, Detail: err.Error()})
	default:
		if now, err := p.fleet.Server(name); err == nil {
			before = now
		}
		respond(w, r, status, before)
	}
}

// maxFormBytes bounds the body of a request.
const maxFormBytes = 1 << 10

func (p *Page) switchLoad(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	name := r.PostFormValue("level")
	i := slices.IndexFunc(levels(), func(l Level) bool { return l.Name == name })
	if i < 0 {
		var names []string
		for _, level := range levels() {
			names = append(names, level.Name)
		}
		writeProblem(w, r, problem{Status: http.StatusUnprocessableEntity, Detail: `form field level: "` + name + `" is not a level`, Allowed: names})
		return
	}
	p.load.set(levels()[i])
	respond(w, r, http.StatusAccepted, p.load.now())
}

func (p *Page) pauseStore(w http.ResponseWriter, r *http.Request, paused bool) {
	if err := p.store.pause(paused); err != nil {
		writeProblem(w, r, problem{Status: http.StatusConflict, Detail: err.Error()})
		return
	}
	respond(w, r, http.StatusOK, p.store.now())
}

// respond responds to a successful POST: with a redirect to the page if a form of the page sent it, otherwise with JSON.
func respond(w http.ResponseWriter, r *http.Request, status int, value any) {
	if wantsHTML(r) {
		http.Redirect(w, r, Path, http.StatusSeeOther)
		return
	}
	writeJSON(w, status, value)
}

func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
