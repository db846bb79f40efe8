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
	// IdleTimeout is the shortest time without use after which a session ends; default 30 minutes, at least 1 second. The
	// longest is IdleTimeout × (1 + TouchAfter): with the defaults, an unused session ends after 30 to 45 minutes.
	IdleTimeout time.Duration
	// TouchAfter is the share of the idle timeout after which a read extends a session; default 0.5, at most 1. A change always
	// extends it. An extended session lasts for its idle timeout and this share of it, so that reads needn't extend it sooner.
	// A smaller share ends unused sessions more punctually, and costs more writes.
	TouchAfter float64
	// Lifetime is the time after its start at which a session ends even if it is in use; default 24 hours, at least
	// IdleTimeout and at most 100 years.
	Lifetime time.Duration
	// StoreTimeout limits each store operation. An operation may time out up to a sixteenth earlier. The default is 800 ms,
	// so that a visitor waits less than a second for a 503.
	StoreTimeout time.Duration
	// RememberLifetime and RememberIdleTimeout are the limits of a session whose login has the option Remember, in place of
	// Lifetime and IdleTimeout. The defaults are 30 days and 7 days, or Lifetime and IdleTimeout if those are longer.
	// RememberLifetime is at least RememberIdleTimeout and at most 400 days, for which browsers keep a cookie.
	//
	// A server of a version without these options extends a remembered session by its IdleTimeout. So deploy this version on
	// every server before the first login is remembered.
	RememberLifetime, RememberIdleTimeout time.Duration
	// BrowserCookie makes the browser delete the cookie when it closes, unless the login was remembered: the cookie then has no
	// Max-Age. A browser that restores its tabs keeps the cookie nevertheless, so the limits above apply all the same.
	BrowserCookie bool
	// CookieName is the name of the cookie after its prefix; default "session". The prefix is __Host-, or __Secure- with
	// CookieDomain or CookiePath, or none with PlainHTTP. With another name, servers find none of the earlier sessions.
	CookieName string
	// CookieDomain is the domain that gets the cookie, with all its subdomains, such as "example.com"; default only the host
	// that sets the cookie. Every subdomain can then set the cookie, too.
	CookieDomain string
	// CookiePath is the path below which browsers send the cookie; default "/".
	CookiePath string
	// SameSite says whether browsers send the cookie with requests from other sites; default http.SameSiteLaxMode. With
	// http.SameSiteNoneMode, handlers need another protection from cross-site requests, such as
	// http.CrossOriginProtection.
	SameSite http.SameSite
	// Partitioned gives the session's pages in a frame another cookie for each site that embeds them (CHIPS). Such a cookie
	// needs SameSite http.SameSiteNoneMode to be sent from a frame.
	Partitioned bool
	// TokenHeader is the name of a header that carries the session for clients without cookies, such as mobile
	// applications; default none. In the header Authorization, the value follows the word Bearer. If a request has the
	// header, even with an empty value, its cookies are ignored, and the response has the header instead of a cookie: when a
	// session starts or gets another value, with that value, and at logout with an empty one. A client sends an empty value
	// (for Authorization, the word Bearer alone) before it has a session, and keeps the value of each response that has one.
	//
	// Other sites can't send the header unless a CORS response allows it, so a request with the header needs no other
	// protection from cross-site requests. Its value is as secret as the cookie.
	TokenHeader string
	// ClearSiteData is the value of the header Clear-Site-Data in a response that logs out, such as `"cache", "storage"`;
	// default none. Browsers honor it only over HTTPS. "cookies" removes all cookies of the registrable domain, also those of
	// other applications.
	ClearSiteData string
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
	cookie    http.Cookie // without value and lifetime
	vary      string      // value of the header Vary
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
	setDefault(&options.TouchAfter, 0.5)
	setDefault(&options.Lifetime, max(24*time.Hour, options.IdleTimeout))
	setDefault(&options.RememberLifetime, max(30*24*time.Hour, options.Lifetime, options.RememberIdleTimeout))
	setDefault(&options.RememberIdleTimeout, min(max(7*24*time.Hour, options.IdleTimeout), options.RememberLifetime))
	setDefault(&options.StoreTimeout, 800*time.Millisecond)
	setDefault(&options.CookieName, "session")
	setDefault(&options.CookiePath, "/")
	setDefault(&options.SameSite, http.SameSiteLaxMode)
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
	if !(options.TouchAfter > 0 && options.TouchAfter <= 1) { // also NaN
		return nil, fmt.Errorf("session option TouchAfter is %v: allowed is a number above 0 and up to 1", options.TouchAfter)
	}
	const maxLifetime = 100 * 365 * 24 * time.Hour // a sum of two doesn't overflow
	if options.Lifetime < options.IdleTimeout || options.Lifetime > maxLifetime {
		return nil, fmt.Errorf("session option Lifetime is %v: allowed is IdleTimeout (%v) to %v", options.Lifetime, options.IdleTimeout, maxLifetime)
	}
	if options.StoreTimeout < 0 {
		return nil, fmt.Errorf("session option StoreTimeout is %v: allowed is a positive duration", options.StoreTimeout)
	}
	if err := options.checkRemember(); err != nil {
		return nil, err
	}
	if err := options.checkHeaders(); err != nil {
		return nil, err
	}
	cookie, err := options.newCookie()
	if err != nil {
		return nil, err
	}
	m := &Manager{backend: backend, promises: promises, options: options, cookie: cookie, vary: "Cookie",
		deadlines: deadlines{timeout: options.StoreTimeout}}
	if options.TokenHeader != "" {
		m.vary += ", " + options.TokenHeader
	}
	if err := m.checkCookieSize(); err != nil {
		return nil, err
	}
	if options.PlainHTTP {
		options.Logger.Warn("session cookies are sent without Secure and __Host-: visitors come over plain HTTP", "cookie", cookie.Name)
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

// idleTimeout returns the idle timeout of a session.
func (m *Manager) idleTimeout(r Record) time.Duration {
	if r.IdleTimeout > 0 {
		return r.IdleTimeout
	}
	return m.options.IdleTimeout
}

// newUpdate returns an update at the time now.
func (m *Manager) newUpdate(now time.Time, changes []Change) Update {
	touchAfter := func(idle time.Duration) time.Duration { return time.Duration(m.options.TouchAfter * float64(idle)) }
	idle := m.options.IdleTimeout
	return Update{
		Now: now, IdleExpires: now.Add(idle + touchAfter(idle)), TouchAfter: touchAfter(m.options.RememberIdleTimeout), Changes: changes,
	}
}

// idleExpires returns the IdleExpires of a session that is extended at now.
func (m *Manager) idleExpires(r Record, now time.Time) time.Time {
	return m.newUpdate(now, nil).Extend(r).IdleExpires
}

// needsTouch reports whether a session that was only read should be extended: otherwise it could end before its idle timeout has
// passed.
func (m *Manager) needsTouch(r Record, now time.Time) bool {
	return m.promises.Mutable && r.IdleExpires.Sub(now) < m.idleTimeout(r)
}
