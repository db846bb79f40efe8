package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Options configure a Manager. The zero value of each field means its default.
type Options struct {
	// IdleTimeout is the time without use after which a session ends; default 30 minutes, at least 1 second.
	IdleTimeout time.Duration
	// Lifetime is the time after its start at which a session ends even if it is in use; default 24 hours, at least
	// IdleTimeout.
	Lifetime time.Duration
	// StoreTimeout limits each store operation. An operation may time out up to a sixteenth earlier. The default is 800 ms,
	// so that a visitor waits less than a second for a 503.
	StoreTimeout time.Duration
	// CookieName is the name of the cookie after the prefix __Host-; default "session".
	CookieName string
	// Bearer also reads the session from the header "Authorization: Bearer" (RFC 6750), for clients that keep no cookies. It is
	// tried before the cookies.
	Bearer bool
	// PlainHTTP is for visitors who connect without TLS: the cookie then has neither the prefix __Host- nor the attribute
	// Secure, because browsers would drop it. New logs a warning.
	PlainHTTP bool
	// ErrorHandler responds in place of a handler whose changes couldn't be stored. Nothing has been sent to the client yet.
	// If the session has just started or got a new id, its cookie is already in the header.
	// The default sends the status text with StatusCode(err), and Retry-After if that is 503.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
	// Observer receives every store operation; default none.
	Observer Observer
	// Logger receives warnings for operators; default slog.Default().
	Logger *slog.Logger
	// Now returns the current time; default time.Now.
	Now func() time.Time
}

// A Manager gives each request its Session, and sends the session's changes before the first byte of the response. A server
// needs one Manager per store. Its methods are safe for concurrent use.
type Manager struct {
	backend   backend
	promises  Promises
	options   Options
	cookie    string
	deadlines deadlines
}

// New returns a Manager that keeps sessions in store. It returns an error if an option is out of its range.
func New(store Store, options Options) (*Manager, error) {
	if users, ok := store.(UserStore); ok {
		return newManager(serverSideUsers{serverSide{store}, users}, store.Promises(), options)
	}
	return newManager(serverSide{store}, store.Promises(), options)
}

// NewWithCodec returns a Manager that keeps each session in its visitor's cookie, encoded by codec. It returns an error if
// an option is out of its range. StoreTimeout applies only to a RevocableCodec.
func NewWithCodec(codec Codec, options Options) (*Manager, error) {
	return newManager(newClientSide(codec), codec.Promises(), options)
}

func newManager(backend backend, promises Promises, options Options) (*Manager, error) {
	setDefault(&options.IdleTimeout, 30*time.Minute)
	setDefault(&options.Lifetime, max(24*time.Hour, options.IdleTimeout))
	setDefault(&options.StoreTimeout, 800*time.Millisecond)
	setDefault(&options.CookieName, "session")
	setDefault(&options.Logger, slog.Default())
	if options.ErrorHandler == nil {
		options.ErrorHandler = defaultErrorHandler
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.IdleTimeout < time.Second {
		return nil, fmt.Errorf("session option IdleTimeout is %v: allowed is 1s or more", options.IdleTimeout)
	}
	if options.Lifetime < options.IdleTimeout {
		return nil, fmt.Errorf("session option Lifetime is %v: allowed is IdleTimeout (%v) or more", options.Lifetime, options.IdleTimeout)
	}
	if options.StoreTimeout < 0 {
		return nil, fmt.Errorf("session option StoreTimeout is %v: allowed is a positive duration", options.StoreTimeout)
	}
	m := &Manager{backend: backend, promises: promises, options: options, cookie: "__Host-" + options.CookieName,
		deadlines: deadlines{timeout: options.StoreTimeout}}
	if options.PlainHTTP {
		m.cookie = options.CookieName
		options.Logger.Warn("session cookies are sent without Secure and __Host-: visitors come over plain HTTP", "cookie", m.cookie)
	}
	if err := (&http.Cookie{Name: m.cookie, Value: "x"}).Valid(); err != nil {
		return nil, fmt.Errorf("session option CookieName is %q: %w", options.CookieName, err)
	}
	return m, nil
}

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// isClientSide reports whether sessions are kept in cookies.
func (m *Manager) isClientSide() bool {
	_, ok := m.backend.(clientSide)
	return ok
}

// Promises returns the promises of the Manager's store or codec.
func (m *Manager) Promises() Promises { return m.promises }

// Ping returns nil if the store replies within StoreTimeout, and an error that wraps ErrUnavailable otherwise.
func (m *Manager) Ping(ctx context.Context) error {
	if err := m.backend.ping(m.deadlines.context(ctx, time.Now())); err != nil {
		return fmt.Errorf("%w: ping %s: %w", ErrUnavailable, m.promises.Name, err)
	}
	return nil
}

// StatusCode returns the HTTP status for an error of this package:
//
//   - 404 for ErrNotFound
//   - 409 for ErrEnded
//   - 413 for ErrTooLarge
//   - 422 for ErrInvalid and ErrCounter
//   - 501 for ErrUnsupported
//   - 503 for ErrUnavailable, where a retry can help
//   - 500 for every other error, since it is a fault of the server
func StatusCode(err error) int {
	switch {
	case errors.Is(err, ErrUnavailable):
		return http.StatusServiceUnavailable
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrEnded):
		return http.StatusConflict
	case errors.Is(err, ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrCounter), errors.Is(err, ErrInvalid):
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrUnsupported):
		return http.StatusNotImplemented
	default:
		return http.StatusInternalServerError
	}
}

func defaultErrorHandler(w http.ResponseWriter, _ *http.Request, err error) {
	status := StatusCode(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, http.StatusText(status), status)
}

// idleExpires returns the IdleExpires of a session that is used at now.
func (m *Manager) idleExpires(now time.Time) time.Time { return now.Add(m.options.IdleTimeout) }

// needsTouch reports whether a session that was only read should be extended. To save writes, a session is extended at most
// once per tenth of the idle timeout. A session may therefore end up to a tenth of the idle timeout early.
func (m *Manager) needsTouch(r Record, now time.Time) bool {
	return m.promises.Mutable && m.idleExpires(now).Sub(r.IdleExpires) >= m.options.IdleTimeout/10
}
