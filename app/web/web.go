// Package web is the sample application: a page and a small JSON API, with sessions of package session. New returns its
// handler; start reading at routes in web.go. Handlers keep no state in the server, so any server can handle any request.
// capabilities.go decides what the application offers with each session store.
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

// Options configure the application. Server, Zone and Sessions are required.
type Options struct {
	// Server is the name of this server, the value of X-Served-By.
	Server string
	// Zone is the location of the server, such as an availability zone. It is the value of X-Served-Zone.
	Zone string
	// Sessions manages the sessions. Its options should contain ErrorHandler, so that all errors have the same format.
	Sessions *session.Manager
	// Board stores the scores. If it is nil, its routes respond with 501.
	Board leaderboard.Board
	// BoardTimeout bounds each call of Board. The default is 800 ms, so that a visitor waits less than a second for a 503.
	BoardTimeout time.Duration
	// Login authenticates visitors. If it is nil, visitors can log in with any name.
	Login Login
	// KeySet serves /.well-known/jwks.json. If it is nil, there is nothing at this address.
	KeySet http.Handler
	// Ready, if not nil, is called by /readyz before it calls the session store. An error makes the server not ready and is
	// part of the response. A server that is shutting down returns one.
	Ready func(context.Context) error
	// PlainHTTP must be true if visitors connect without TLS. The application then sends no Strict-Transport-Security, and
	// its own cookie lacks Secure.
	PlainHTTP bool
	// AllowDelay turns on ?delay= on the routes below /api/, for experiments that need slow requests.
	AllowDelay bool
	// Sticky says that the load balancer sends each visitor to the same server.
	Sticky bool
	// FleetPage is the path of a page about the fleet, which the load balancer serves. If it is empty, there is none.
	FleetPage string
	// Logger gets errors. The default is slog.Default().
	Logger *slog.Logger
}

// A server holds what the handlers need.
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
		Options: options, capabilities: capabilitiesOf(options),
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
	if s.KeySet != nil {
		s.mux.Handle("GET /.well-known/jwks.json", s.KeySet)
	}
	s.mux.HandleFunc("/", s.notFound)

	withSession := func(pattern string, handle http.HandlerFunc) {
		s.mux.Handle(pattern, s.Sessions.Handler(handle))
	}
	// withSessionUnless is withSession if reason is empty. Otherwise the route responds with 501 and the reason.
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
	withSessionUnless(s.capabilities.NoLogoutEverywhere, "POST /logout/everywhere", s.logoutEverywhere)

	withSession("GET /api/session", s.withDelay(s.getSession))
	withSessionUnless(s.capabilities.NoUserSessions, "GET /api/sessions", s.withDelay(s.getSessions))
	withSessionUnless(s.capabilities.NoChange, "POST /api/visits", s.withDelay(s.addVisit))
	withSessionUnless(s.capabilities.NoChange, "POST /api/cart/{sku}", s.withDelay(s.changeCart))
	withSessionUnless(s.capabilities.NoScore, "POST /api/scores", s.withDelay(s.addScore))
	withSessionUnless(s.capabilities.NoBoard, "GET /api/leaderboard", s.withDelay(s.getLeaderboard))
}

// none responds without calling a store: for the baseline of load tests, and for the load balancer's health check, which
// must not take every server out of service when the store fails.
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

// notFound responds to requests that match no route: with 405 if another method would match, otherwise with 404.
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
		writeError(w, r, http.StatusMethodNotAllowed, "This address doesn't allow the method "+r.Method+".")
		return
	}
	writeError(w, r, http.StatusNotFound, "There is nothing at this address.")
}
