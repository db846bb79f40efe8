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

// Errors of handlers that use the package wrongly.
var (
	// ErrResponseStarted means that the response has begun, so that it can no longer acknowledge a change.
	ErrResponseStarted = errors.New("the response has started: session changes come before its first byte")
	// ErrNoMiddleware means that the handler runs without Manager.Handler around it.
	ErrNoMiddleware = errors.New("no session in the context: wrap the handler with Manager.Handler")
)

// A Session is a request's view of its visitor's session. Its methods and those of the keys are safe for concurrent use.
//
// A Session asks the store nothing until a handler reads. It keeps changes until the handler reads again, calls Apply, or
// begins its response. A visitor without a session gets one with the first change that stores something. A request reads
// the session once: a handler that runs for long, such as a stream, does not see that the session ends meanwhile.
//
// A change that is refused or fails sticks: every later read or change of the request returns its error, and the response
// is an error too, even if the handler ignores it.
type Session struct {
	manager *Manager
	request *http.Request

	mu      sync.Mutex
	state   state
	refs    []reference  // by which the visitor refers to the session: one, or several while nobody knows which is live
	one     [1]reference // where refs usually is, without an allocation
	record  Record       // in stateLive
	readErr error        // of the read: the store is asked once a request
	failed  error        // of the first change, login or logout that failed
	changes []Change     // not sent yet
	cookie  string       // the Set-Cookie line that the response must have; empty for none
	begun   bool         // the response has begun
}

// A state says how much a Session knows about the visitor's session.
type state uint8

const (
	stateNew    state = iota // the request's cookies have not been looked at
	stateUnread              // the visitor has a cookie, and the store has not answered what it refers to
	stateNone                // the visitor has no session
	stateLive                // the visitor has one: record
	stateEnded               // the visitor's session ended a moment ago
)

type contextKey struct{}

// managerKey finds the session of one of several Managers around a handler.
type managerKey struct{ manager *Manager }

// From returns the Session of the request that ctx belongs to, of the innermost Manager around the handler. Without
// Manager.Handler, every method of the returned Session fails with ErrNoMiddleware.
func From(ctx context.Context) *Session {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s
	}
	return &Session{failed: ErrNoMiddleware}
}

// Context returns a copy of ctx in which From and the keys find the session of m. It is for handlers inside several
// Managers, which have cookies of different names.
func (m *Manager) Context(ctx context.Context) context.Context {
	if s, ok := ctx.Value(managerKey{m}).(*Session); ok {
		return context.WithValue(ctx, contextKey{}, s)
	}
	return context.WithValue(ctx, contextKey{}, &Session{failed: ErrNoMiddleware})
}

// From returns the request's session of m. See Context.
func (m *Manager) From(ctx context.Context) *Session { return From(m.Context(ctx)) }

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
	if err := s.read(ctx); err != nil || s.state != stateLive {
		return Info{}, false, err
	}
	return s.manager.info(s.refs[0].id, s.record, true), true, nil
}

// User returns the name of the user who is logged in, or "".
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

// change records a change, or the error that it is refused with.
func (s *Session) change(c Change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.check() != nil {
		return
	}
	if err == nil {
		err = checkKey(c.Key)
	}
	if err == nil {
		s.changes, err = record(s.changes, c)
	}
	if err != nil {
		s.fail(err)
	}
}

// check returns why nothing more can be changed in this request, nil if it can.
func (s *Session) check() error {
	if s.failed == nil && s.begun {
		s.failed = ErrResponseStarted
	}
	return s.failed
}

// fail makes the error stick, unless another did before, and drops the changes that wait.
func (s *Session) fail(err error) error {
	if s.failed == nil {
		s.failed = err
	}
	s.changes = nil
	return s.failed
}

// read makes the session's state known. Changes that wait are sent, and bring it back with them.
func (s *Session) read(ctx context.Context) error {
	if s.failed != nil && !errors.Is(s.failed, ErrResponseStarted) {
		return s.failed
	}
	if len(s.changes) > 0 {
		return s.apply(ctx)
	}
	if s.present() != stateUnread || s.readErr != nil {
		return s.readErr
	}
	err := s.each(func(ref reference) error {
		ref, record, err := s.manager.load(ctx, ref)
		if err == nil {
			s.adopt(ref, record)
		}
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		s.state = stateNone
	case errors.Is(err, ErrEnded):
		s.state = stateEnded
	default:
		s.readErr = err
	}
	return s.readErr
}

// maxCookies bounds how many cookies of the session's name are looked at: a browser has one, or a few when the name was
// used on other paths or by a parent domain.
const maxCookies = 3

// present looks at the visitor's cookies, once, and returns the state.
func (s *Session) present() state {
	if s.state != stateNew {
		return s.state
	}
	s.state, s.refs = stateNone, s.one[:0]
	for _, cookie := range s.request.CookiesNamed(s.manager.cookie) {
		if ref, ok := s.manager.backend.refer(cookie.Value); ok && len(s.refs) < maxCookies {
			s.refs = append(s.refs, ref)
			s.state = stateUnread
		}
	}
	return s.state
}

// each calls f with one reference after the other until one refers to a session. When none does, it returns ErrEnded if
// one of the sessions has ended, else ErrNotFound.
func (s *Session) each(f func(reference) error) error {
	gone := ErrNotFound
	for _, ref := range s.refs {
		err := f(ref)
		switch {
		case errors.Is(err, ErrEnded):
			gone = err
		case errors.Is(err, ErrNotFound):
		default:
			return err
		}
	}
	return gone
}

// apply sends the recorded changes.
func (s *Session) apply(ctx context.Context) error {
	if s.failed != nil {
		return s.failed
	}
	if len(s.changes) == 0 {
		return nil
	}
	changes := s.changes
	s.changes = nil
	if err := s.store(ctx, changes); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Session) store(ctx context.Context, changes []Change) error {
	if !s.manager.promises.Mutable {
		return fmt.Errorf("change a session after its start: %w (%s)", ErrUnsupported, s.manager.promises.Name)
	}
	s.present()
	if s.state == stateEnded {
		return ErrEnded
	}
	// A read that found nothing may have been out of date, unless the store promises otherwise.
	if s.state == stateNone && (len(s.refs) == 0 || s.manager.promises.ReadYourWrites) {
		return s.start(ctx, changes)
	}
	var known *Record
	if s.state == stateLive {
		known = &s.record
	}
	err := s.each(func(ref reference) error {
		ref, record, err := s.manager.update(ctx, ref, changes, known)
		if err == nil {
			s.adopt(ref, record)
		}
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound) && s.state != stateLive:
		s.state = stateNone // the cookie outlived its session
		return s.start(ctx, changes)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrEnded):
		return s.gone()
	default:
		return err
	}
}

// gone notes that the session ended while this request was using it. The cookie stays as it is: a login in another tab
// may just have replaced it.
func (s *Session) gone() error {
	s.record, s.state = Record{}, stateEnded
	return ErrEnded
}

// start gives a visitor who has none a session, if the changes store anything.
func (s *Session) start(ctx context.Context, changes []Change) error {
	values, err := Apply(nil, changes)
	if err != nil || len(values) == 0 {
		return err
	}
	record := s.manager.newRecord(s.request, "")
	record.Values = values
	return s.create(ctx, record)
}

func (s *Session) create(ctx context.Context, record Record) error {
	ref, err := s.manager.create(ctx, record)
	if err == nil {
		s.adopt(ref, record)
	}
	return err
}

// adopt makes a session that was just read or written the request's own. The response brings its cookie where that is
// new.
func (s *Session) adopt(ref reference, record Record) {
	known := false
	for _, old := range s.refs {
		known = known || old.value == ref.value
	}
	if !known {
		s.setCookie(ref.value, record.Expires.Sub(s.manager.options.Now()))
	}
	s.one[0] = ref
	s.state, s.refs, s.record, s.readErr = stateLive, s.one[:], record, nil
}

// setCookie has the response set the session's cookie. A response that has begun can't: then there is no change either.
func (s *Session) setCookie(value string, lifetime time.Duration) {
	cookie := http.Cookie{
		Name: s.manager.cookie, Value: value, Path: "/", MaxAge: int(lifetime.Round(time.Second) / time.Second),
		Secure: !s.manager.options.PlainHTTP, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	s.cookie = cookie.String()
}

// newRecord returns a session that starts now, without values. A session that can't change can't be extended either.
func (m *Manager) newRecord(r *http.Request, user string) Record {
	now := m.options.Now()
	record := Record{User: user, UserAgent: shorten(r.UserAgent()), Created: now, Expires: now.Add(m.options.Lifetime)}
	record.IdleExpires = record.Expires
	if m.promises.Mutable {
		record.IdleExpires = m.idleExpires(now)
	}
	return record
}

// shorten makes a user agent 200 bytes of UTF-8 at most: any bytes may come from a client.
func shorten(agent string) string {
	const most = 200
	return strings.ToValidUTF8(agent[:min(len(agent), most)], "")
}
