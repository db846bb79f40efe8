package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrResponseStarted: the response has begun, so that a change could no longer be acknowledged by it.
var ErrResponseStarted = errors.New("the response has started: session changes come before its first byte")

// errNoSession says what is missing when a handler runs without the middleware.
var errNoSession = errors.New("no session in the context: wrap the handler with Manager.Handler")

// A Session is a request's view of its visitor's session. Its methods and those of the keys are safe for concurrent use.
//
// Nothing is asked of the store until a handler reads, and changes wait until the handler reads again, calls Apply, or
// begins its response. A visitor without a session gets one with the first change.
type Session struct {
	manager *Manager
	request *http.Request
	header  http.Header

	mu       sync.Mutex
	ref      reference
	has      bool // the visitor presented a reference, or was given one in this request
	parsed   bool // the cookie was looked at
	asked    bool // the store was asked: record, live and ended are known
	live     bool
	ended    bool   // the store remembers that the session was ended
	updated  bool   // extended by a change in this request, so that no touch is needed
	record   Record // when live
	failed   error  // of the last read: the store is asked once a request
	changes  []Change
	unstored error // changes were lost: whatever the handler answers, it must not be a success
	started  bool  // the response has begun
}

type contextKey struct{}

// From returns the Session of the request that ctx belongs to. Without Manager.Handler around the handler, every method
// of what it returns fails.
func From(ctx context.Context) *Session {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s
	}
	return &Session{failed: errNoSession, asked: true, parsed: true}
}

// Info describes a session.
type Info struct {
	ID        ID
	User      string // empty: nobody is logged in
	UserAgent string
	Created   time.Time
	Expires   time.Time // unless it is used before, or at the latest
	LastSeen  time.Time // to a tenth of the idle timeout
	Current   bool      // it is the request's own
}

// Info returns the session's description, and false when the visitor has none.
func (s *Session) Info(ctx context.Context) (Info, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(ctx); err != nil || !s.live {
		return Info{}, false, err
	}
	return s.manager.info(s.ref.id, s.record, true), true, nil
}

// User returns who is logged in, or "".
func (s *Session) User(ctx context.Context) (string, error) {
	info, _, err := s.Info(ctx)
	return info.User, err
}

// Apply sends the recorded changes now instead of with the first byte of the response.
func (s *Session) Apply(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apply(ctx)
}

// value returns the JSON of a key, "" when it isn't there.
func (s *Session) value(ctx context.Context, key string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(ctx); err != nil {
		return "", err
	}
	return s.record.Values[key], nil
}

// values returns the session's values, which must not be modified.
func (s *Session) values(ctx context.Context) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.read(ctx)
	return s.record.Values, err
}

func (s *Session) change(c Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.manager == nil {
		return errNoSession
	}
	if s.started {
		return ErrResponseStarted
	}
	if err := checkKey(c.Key); err != nil {
		return err
	}
	changes, err := record(s.changes, c)
	s.changes = changes
	return err
}

// read makes the session's state known. Changes that wait are sent, and bring it back with them.
func (s *Session) read(ctx context.Context) error {
	if len(s.changes) > 0 {
		return s.apply(ctx)
	}
	return s.ask(ctx)
}

// ask reads the session from the store, once a request.
func (s *Session) ask(ctx context.Context) error {
	if s.asked {
		return s.failed
	}
	s.asked = true
	if !s.present() {
		return nil
	}
	ref, record, err := s.manager.load(ctx, s.ref)
	switch {
	case err == nil:
		s.ref, s.record, s.live = ref, record, true
	case errors.Is(err, ErrNotFound):
	case errors.Is(err, ErrEnded):
		s.ended = true
	default:
		s.failed = err
	}
	return s.failed
}

// present tells whether the visitor has a cookie of the right form.
func (s *Session) present() bool {
	if s.parsed {
		return s.has
	}
	s.parsed = true
	for _, cookie := range s.request.CookiesNamed(s.manager.cookie) {
		if s.ref, s.has = s.manager.backend.refer(cookie.Value); s.has {
			break
		}
	}
	return s.has
}

// apply sends the recorded changes. If that fails they are dropped, and no answer of the handler's can be a success.
func (s *Session) apply(ctx context.Context) error {
	if len(s.changes) == 0 {
		return nil
	}
	changes := s.changes
	s.changes = nil
	if err := s.store(ctx, changes); err != nil {
		s.unstored = err
		return err
	}
	return nil
}

func (s *Session) store(ctx context.Context, changes []Change) error {
	if !s.manager.promises.Changes {
		return fmt.Errorf("change a session after its start: %w (%s)", ErrUnsupported, s.manager.promises.Name)
	}
	if s.ended {
		return ErrEnded
	}
	if !s.present() || s.asked && s.failed == nil && !s.live {
		return s.start(ctx, "", nil, changes)
	}
	var known *Record
	if s.live {
		known = &s.record
	}
	ref, record, err := s.manager.update(ctx, s.ref, changes, known)
	switch {
	case err == nil:
		s.become(ref, record)
		return nil
	case errors.Is(err, ErrNotFound) && !s.live:
		return s.start(ctx, "", nil, changes) // the cookie outlived its session
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrEnded):
		// It ended while this request was using it. The cookie stays as it is: a login in another tab may just have
		// replaced it.
		s.record, s.live, s.asked, s.ended = Record{}, false, true, true
		return ErrEnded
	default:
		return err
	}
}

// start gives the visitor a new session with the values, changed by changes.
func (s *Session) start(ctx context.Context, user string, values map[string]string, changes []Change) error {
	values, err := Apply(values, changes)
	if err != nil {
		return err
	}
	now := s.manager.options.Now()
	record := Record{Values: values, User: user, UserAgent: shorten(s.request.UserAgent()), Created: now}
	record.Expires, record.IdleExpires = s.manager.expiries(now)
	ref, err := s.manager.create(ctx, record)
	if err != nil {
		return err
	}
	s.become(ref, record)
	return nil
}

// become makes a session that was just written the request's own. The visitor gets its cookie where that is new.
func (s *Session) become(ref reference, record Record) {
	if ref.value != s.ref.value {
		s.setCookie(ref.value, record.Expires.Sub(s.manager.options.Now()))
	}
	s.ref, s.has, s.parsed = ref, true, true
	s.record, s.live, s.asked, s.updated, s.failed, s.ended = record, true, true, true, nil, false
}

func (s *Session) setCookie(value string, lifetime time.Duration) {
	s.removeCookie()
	cookie := http.Cookie{
		Name: s.manager.cookie, Value: value, Path: "/", MaxAge: int(lifetime.Round(time.Second) / time.Second),
		Secure: !s.manager.options.PlainHTTP, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	s.header.Add("Set-Cookie", cookie.String())
}

// shorten makes a user agent 200 bytes of UTF-8 at most: any bytes may come from a client.
func shorten(agent string) string {
	const most = 200
	return strings.ToValidUTF8(agent[:min(len(agent), most)], "")
}
