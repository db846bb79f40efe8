package web

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"stateless-servers/session"
)

// contentSecurityPolicy allows the page to use this server only, and no inline scripts or styles.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// transportSecurity makes browsers use HTTPS for a year (OWASP ASVS 5.0, 3.4.1).
const transportSecurity = "max-age=31536000; includeSubDomains"

// addHeaders adds the server's name and the security headers to every response.
func (s *server) addHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Served-By", s.Server)
		h.Set("X-Served-Zone", s.Zone)
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if !s.PlainHTTP {
			h.Set("Strict-Transport-Security", transportSecurity)
		}
		next.ServeHTTP(w, r)
	})
}

// recoverPanics turns a panic into a 500, or aborts the connection if the response has begun.
func (s *server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := &startedWriter{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			s.Logger.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path,
				"cause", cause, slog.String("stack", string(debug.Stack())))
			if response.started {
				panic(http.ErrAbortHandler)
			}
			writeError(w, r, http.StatusInternalServerError, "Something went wrong in this server.")
		}()
		next.ServeHTTP(response, r)
	})
}

// A startedWriter records whether the response has begun.
type startedWriter struct {
	http.ResponseWriter
	started bool
}

// Unwrap is for http.ResponseController.
func (w *startedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *startedWriter) WriteHeader(status int) {
	w.started = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *startedWriter) Write(p []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(p)
}

// maxDelay bounds ?delay=.
const maxDelay = 2 * time.Second

// withDelay delays a request by ?delay=, if the Options allow that. It reads the session before the delay, so that
// concurrent requests overlap in the way that loses updates: each changes a state that it read before the other's change.
// The delay isn't cut short if the client disconnects, for experiments with such clients.
func (s *server) withDelay(next http.HandlerFunc) http.HandlerFunc {
	if !s.AllowDelay {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query(); query.Has("delay") {
			delay, err := time.ParseDuration(query.Get("delay"))
			if err != nil || delay < 0 || delay > maxDelay {
				writeError(w, r, http.StatusBadRequest, badValueDetail("query parameter delay", query.Get("delay"),
					"a duration from 0s to "+maxDelay.String()+", such as 200ms"))
				return
			}
			if _, _, err := session.From(r.Context()).Info(r.Context()); err != nil {
				s.sessionError(w, r, err)
				return
			}
			time.Sleep(delay)
		}
		next(w, r)
	}
}
