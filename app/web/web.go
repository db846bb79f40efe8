// Package web is the sample application that every server of the fleet runs: a page and a small API on top of package
// session. No handler keeps anything in the server, so any server may take any request.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"stateless-servers/app/leaderboard"
	"stateless-servers/session"
)

// Options say what the application stands on. Server, Zone and Sessions are required.
type Options struct {
	// Server is the name of this server, the value of X-Served-By.
	Server string
	// Zone is where the server runs, such as an availability zone; the value of X-Served-Zone.
	Zone string
	// Sessions gives each request its session. Its options should have ErrorHandler, so that errors look alike.
	Sessions *session.Manager
	// Board keeps the scores. It is nil with a store that keeps none: its routes then answer 501.
	Board leaderboard.Board
	// BoardTimeout bounds each question to Board; default 800 ms, so that a visitor waits less than a second for a 503.
	BoardTimeout time.Duration
	// Login, when not nil, has a third party say who visitors are. Otherwise whoever they claim to be is believed.
	Login Login
	// Ready, when not nil, is asked by /readyz before the session store is: its error makes the server not ready, and is
	// shown. It is how a server says that it is shutting down.
	Ready func(context.Context) error
	// PlainHTTP says that visitors come without TLS: browsers aren't told to insist on it, and the application's own cookie
	// lacks Secure.
	PlainHTTP bool
	// AllowDelay honours ?delay= on the routes below /api/, for drills that need slow requests.
	AllowDelay bool
	// Logger gets errors; default slog.Default().
	Logger *slog.Logger
}

// server has the handlers.
type server struct {
	Options
	capabilities capabilities
	mux          *http.ServeMux
	sessionError func(http.ResponseWriter, *http.Request, error)
}

// New returns the application's handler.
func New(options Options) http.Handler {
	if options.BoardTimeout == 0 {
		options.BoardTimeout = 800 * time.Millisecond
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	s := &server{
		Options: options, capabilities: capabilitiesOf(options.Sessions.Promises(), options.Board != nil),
		mux: http.NewServeMux(), sessionError: ErrorHandler(options.Logger),
	}
	s.routes()

	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, r, http.StatusForbidden, "The request was sent by a page of another site.")
	}))
	return s.addHeaders(s.recoverPanics(protection.Handler(s.mux)))
}

func (s *server) routes() {
	s.mux.HandleFunc("GET /none", s.none)
	s.mux.HandleFunc("GET /healthz", s.none)
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.HandleFunc("GET /static/{name}", serveAsset)
	s.mux.HandleFunc("/", s.notFound)

	withSession := func(pattern string, handle http.HandlerFunc) {
		s.mux.Handle(pattern, s.Sessions.Handler(handle))
	}
	// withSessionUnless is withSession where there is no reason why the store can't do it.
	withSessionUnless := func(reason, pattern string, handle http.HandlerFunc) {
		if reason == "" {
			withSession(pattern, handle)
			return
		}
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			writeError(w, r, http.StatusNotImplemented, reason)
		})
	}
	withSession("GET /{$}", s.page)
	if s.Login == nil {
		withSession("POST /login", s.login)
	} else {
		s.mux.HandleFunc("POST /login", s.beginLogin)
		withSession("GET /login/callback", s.finishLogin)
	}
	withSession("POST /logout", s.logout)
	withSessionUnless(s.capabilities.NoUserSessions, "POST /logout/everywhere", s.logoutEverywhere)

	withSession("GET /api/session", s.withDelay(s.getSession))
	withSessionUnless(s.capabilities.NoUserSessions, "GET /api/sessions", s.withDelay(s.getSessions))
	withSessionUnless(s.capabilities.NoChange, "POST /api/visits", s.withDelay(s.addVisit))
	withSessionUnless(s.capabilities.NoChange, "POST /api/cart/{sku}", s.withDelay(s.changeCart))
	withSessionUnless(s.capabilities.NoScore, "POST /api/scores", s.withDelay(s.addScore))
	withSessionUnless(s.capabilities.NoBoard, "GET /api/leaderboard", s.withDelay(s.getLeaderboard))
}

// none answers without asking any store: for the load test's zero line, and for the load balancer, which must not take
// every server out of service when it is the store that fails.
func (s *server) none(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, struct {
		Server string `json:"server"`
	}{s.Server})
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if s.Ready != nil {
		if err := s.Ready(r.Context()); err != nil {
			writeError(w, r, http.StatusServiceUnavailable, "Not ready: "+err.Error()+".")
			return
		}
	}
	if err := s.Sessions.Ping(r.Context()); err != nil {
		s.sessionError(w, r, err)
		return
	}
	s.none(w, r)
}

// notFound answers what no route takes: 405 where another method would do, else 404.
func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		other := r.WithContext(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeError(w, r, http.StatusMethodNotAllowed, "This address doesn't take the method "+r.Method+".")
		return
	}
	writeError(w, r, http.StatusNotFound, "There is nothing at this address.")
}
