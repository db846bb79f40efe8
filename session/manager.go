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
	// IdleTimeout ends a session that nobody has used for that long; default 30 minutes, at least 1 second.
	IdleTimeout time.Duration
	// Lifetime ends a session, used or not; default 24 hours, at least IdleTimeout.
	Lifetime time.Duration
	// StoreTimeout bounds every store operation, up to a sixteenth early; default 800 ms, so that a visitor waits less than a
	// second for a 503.
	StoreTimeout time.Duration
	// CookieName is the cookie's name after the prefix __Host-; default "session".
	CookieName string
	// PlainHTTP is for visitors that come without TLS: the cookie has neither the prefix __Host- nor Secure, since browsers
	// would drop it. New logs that once.
	PlainHTTP bool
	// ErrorHandler answers a request whose changes couldn't be stored, instead of its handler. Nothing was sent yet. The
	// response keeps a cookie of a session that has just started or got a new id.
	// Default: plain text with StatusCode(err), and Retry-After when that is 503.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
	// Observer is told of every store operation; default nobody.
	Observer Observer
	// Logger gets what an operator should know; default slog.Default().
	Logger *slog.Logger
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// A Manager gives each request its Session, and sends the session's changes before the first byte of the response.
type Manager struct {
	backend   backend
	promises  Promises
	options   Options
	cookie    string
	deadlines deadlines
}

// New returns a Manager of the sessions in store, or an error that says which option is not allowed.
func New(store Store, options Options) (*Manager, error) {
	if users, ok := store.(UserStore); ok {
		return newManager(inUserStore{serverSide{store}, users}, store.Promises(), options)
	}
	return newManager(serverSide{store}, store.Promises(), options)
}

// NewWithCodec returns a Manager of sessions that are with their visitors, or an error that says which option is not
// allowed. StoreTimeout has no meaning for it.
func NewWithCodec(codec Codec, options Options) (*Manager, error) {
	return newManager(clientSide{codec}, codec.Promises(), options)
}

func newManager(backend backend, promises Promises, options Options) (*Manager, error) {
	setDefault(&options.IdleTimeout, 30*time.Minute)
	setDefault(&options.Lifetime, max(24*time.Hour, options.IdleTimeout))
	setDefault(&options.StoreTimeout, 800*time.Millisecond)
	setDefault(&options.CookieName, "session")
	setDefault(&options.Logger, slog.Default())
	if options.ErrorHandler == nil {
		options.ErrorHandler = answerError
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

// isClientSide reports whether the sessions are in the visitors' cookies.
func (m *Manager) isClientSide() bool {
	_, ok := m.backend.(clientSide)
	return ok
}

// Promises returns what the Manager's store promises to keep.
func (m *Manager) Promises() Promises { return m.promises }

// Ping asks the store whether it answers, within StoreTimeout.
func (m *Manager) Ping(ctx context.Context) error {
	if err := m.backend.ping(m.deadlines.context(ctx, time.Now())); err != nil {
		return fmt.Errorf("%w: ping %s: %w", ErrUnavailable, m.promises.Name, err)
	}
	return nil
}

// StatusCode returns the HTTP status that answers an error of this package: 404 for a session that isn't there, 409 for
// one that has ended meanwhile, 413 for one too large, 422 for a form that isn't allowed or a counter out of its range,
// 501 for what the store can't do, 503 for a store that failed, where a retry can help. Every other error is a mistake of
// the server's, 500.
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

func answerError(w http.ResponseWriter, _ *http.Request, err error) {
	status := StatusCode(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, http.StatusText(status), status)
}

// idleExpires is when a session used now ends unless it is used again.
func (m *Manager) idleExpires(now time.Time) time.Time { return now.Add(m.options.IdleTimeout) }

// needsTouch reports whether a session that was only read should be extended. To save writes, that is at most once per
// tenth of the idle timeout, so that a session may end up to a tenth early.
func (m *Manager) needsTouch(r Record, now time.Time) bool {
	return m.promises.Mutable && m.idleExpires(now).Sub(r.IdleExpires) >= m.options.IdleTimeout/10
}
