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

// Errors of handlers that use the package incorrectly.
var (
	// ErrResponseStarted means that a handler changed the session after its response had begun. The response can no longer
	// report whether the change was stored.
	ErrResponseStarted = errors.New("the response has started: session changes come before its first byte")
	// ErrNoMiddleware means that Manager.Handler does not wrap the handler.
	ErrNoMiddleware = errors.New("no session in the context: wrap the handler with Manager.Handler")
)

// A Session is the session of the visitor who sent a request, during that request. Its methods, and the methods of Key and
// Counter, are safe for concurrent use.
//
// A Session does not call the store before a handler reads it. It records changes, and sends them when the handler reads
// again, calls Apply, or begins its response. If the visitor has no session, the first change that stores a value creates
// one. A request reads the session once: a long-running handler, such as a stream, does not notice that the session ends
// meanwhile.
//
// If a change is refused or fails, every later read or change of the request returns its error. The response is then an
// error too, even if the handler ignores the error.
type Session struct {
	manager *Manager
	request *http.Request

	mu        sync.Mutex
	state     state
	refs      []reference  // from the request: one, or several from its cookies until it is known which of them is live
	inlineRef [1]reference // backs refs when it has one element, to save an allocation
	record    Record       // valid in stateLive
	readErr   error        // error of the read; the store is read once per request
	failed    error        // error of the first change, login or logout that failed
	changes   []Change     // recorded, not yet sent
	byHeader  bool         // the request has Options.TokenHeader, and the response answers there
	token     string       // Set-Cookie line, or value of Options.TokenHeader, for the response
	hasToken  bool         // the response has to send token
	loggedOut bool         // the visitor has logged out
	begun     bool         // the response has begun
}

// A state is how much a Session knows about the visitor's session.
type state uint8

const (
	stateNew    state = iota // the request has not been parsed
	stateUnread              // the request refers to a session, and the store has not been read
	stateNone                // the visitor has no session
	stateLive                // the visitor has a live session, in Session.record
	stateEnded               // the visitor's session ended within EndedFor
)

type contextKey struct{}

// A managerKey is the context key of the session of one Manager.
type managerKey struct{ manager *Manager }

// From returns the Session of the request that ctx belongs to. If several Managers wrap the handler, it is the session of
// the innermost one. If none does, every method of the returned Session fails with ErrNoMiddleware.
func From(ctx context.Context) *Session {
	if s, ok := ctx.Value(contextKey{}).(*Session); ok {
		return s
	}
	return &Session{failed: ErrNoMiddleware}
}

// Context returns a copy of ctx in which From and the keys use the session of m. Handlers that several Managers wrap need
// it. Those Managers must have different cookie names and token headers.
func (m *Manager) Context(ctx context.Context) context.Context {
	if s, ok := ctx.Value(managerKey{m}).(*Session); ok {
		return context.WithValue(ctx, contextKey{}, s)
	}
	return context.WithValue(ctx, contextKey{}, &Session{failed: ErrNoMiddleware})
}

// From returns the request's session of m. It is short for From(m.Context(ctx)).
func (m *Manager) From(ctx context.Context) *Session { return From(m.Context(ctx)) }

// Info describes a session.
type Info struct {
	ID        ID
	User      string    // the user who is logged in; empty if nobody is
	UserAgent string    // of the browser that started the session, at most 200 bytes
	Created   time.Time // when the session started
	Expires   time.Time // when the session ends if it is not used again
	LastSeen  time.Time // when the session was last extended, which is at most TouchAfter × IdleTimeout before its last use
	Current   bool      // the session belongs to the current request
}

// Info returns a description of the session. It returns false if the visitor has no live session.
func (s *Session) Info(ctx context.Context) (Info, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(ctx); err != nil || s.state != stateLive {
		return Info{}, false, err
	}
	return s.manager.info(s.refs[0].id, s.record, true), true, nil
}

// User returns the name of the user who is logged in, or "" if nobody is.
func (s *Session) User(ctx context.Context) (string, error) {
	info, _, err := s.Info(ctx)
	return info.User, err
}

// Ended reports whether the visitor's session was ended by a logout or a renewal, at most EndedFor ago. A change then fails
// with ErrEnded. It reads the session as Info does.
func (s *Session) Ended(ctx context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.read(ctx)
	return s.state == stateEnded, err
}

// Apply sends the recorded changes to the store now. Without Apply they are sent before the first byte of the response.
func (s *Session) Apply(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apply(ctx)
}

// value returns the JSON value of a key, or "" if the session does not have the key.
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

// change records a change. If err is not nil, it records err as the session's failure instead.
func (s *Session) change(c Change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checkChangeable() != nil {
		return
	}
	if err == nil {
		err = checkKey(c.Key)
	}
	if err == nil {
		s.changes, err = appendChange(s.changes, c)
	}
	if err != nil {
		s.fail(err)
	}
}

// checkChangeable returns an error if this request can no longer change the session.
func (s *Session) checkChangeable() error {
	if s.failed == nil && s.begun {
		s.failed = ErrResponseStarted
	}
	return s.failed
}

// fail records the first failure of the request, drops the changes not yet sent, and returns the recorded failure.
func (s *Session) fail(err error) error {
	if s.failed == nil {
		s.failed = err
	}
	s.changes = nil
	return s.failed
}

// read reads the session once per request. If changes are recorded, it sends them instead: the store replies with the new
// state.
func (s *Session) read(ctx context.Context) error {
	if s.failed != nil && !errors.Is(s.failed, ErrResponseStarted) {
		return s.failed
	}
	if len(s.changes) > 0 {
		return s.apply(ctx)
	}
	if s.parseRequest() != stateUnread || s.readErr != nil {
		return s.readErr
	}
	err := s.tryEach(func(ref reference) error {
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

// maxCookies bounds the session cookies that are used per request. A browser sends more than one if the same name was set
// on another path or by a parent domain.
const maxCookies = 3

// parseRequest reads the references from the request's header or cookies, on its first call, and returns the state.
func (s *Session) parseRequest() state {
	if s.state != stateNew {
		return s.state
	}
	s.state, s.refs = stateNone, s.inlineRef[:0]
	var value string
	if value, s.byHeader = s.manager.headerToken(s.request.Header); s.byHeader {
		s.addReference(value)
		return s.state
	}
	for _, cookie := range s.request.CookiesNamed(s.manager.cookie.Name) {
		s.addReference(cookie.Value)
	}
	return s.state
}

// addReference adds the reference in a value that the client sent, if the value has the right form.
func (s *Session) addReference(value string) {
	if ref, ok := s.manager.backend.parse(value); ok && len(s.refs) < maxCookies {
		s.refs = append(s.refs, ref)
		s.state = stateUnread
	}
}

// tryEach calls f with each reference until f returns anything other than ErrNotFound or ErrEnded. If f never does, it
// returns ErrEnded if one of the sessions has ended, and ErrNotFound otherwise.
func (s *Session) tryEach(f func(reference) error) error {
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
	if err := s.sendChanges(ctx, changes); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Session) sendChanges(ctx context.Context, changes []Change) error {
	if !s.manager.promises.Mutable {
		return fmt.Errorf("change a session after its start: %w (%s)", ErrUnsupported, s.manager.promises.Name)
	}
	s.parseRequest()
	if s.state == stateEnded {
		return ErrEnded
	}
	// Without ReadYourWrites, a read that found no session may have been stale.
	if s.state == stateNone && (len(s.refs) == 0 || s.manager.promises.ReadYourWrites) {
		return s.startSession(ctx, changes)
	}
	var known *Record
	if s.state == stateLive {
		known = &s.record
	}
	err := s.tryEach(func(ref reference) error {
		ref, record, err := s.manager.update(ctx, ref, changes, known)
		if err == nil {
			s.adopt(ref, record)
		}
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound) && s.state != stateLive:
		s.state = stateNone // the cookie outlived its session
		return s.startSession(ctx, changes)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrEnded):
		return s.markEnded()
	default:
		return err
	}
}

// markEnded records that the session ended while this request was using it. It does not remove the cookie, because a login
// in another tab may have replaced it a moment before.
func (s *Session) markEnded() error {
	s.record, s.state = Record{}, stateEnded
	return ErrEnded
}

// startSession creates a session for a visitor who has none, unless the changes leave it empty.
func (s *Session) startSession(ctx context.Context, changes []Change) error {
	values, err := Apply(nil, changes)
	if err != nil || len(values) == 0 {
		return err
	}
	record := s.manager.newRecord(s.request, "", false)
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

// adopt makes a session that was just read or written the session of this request. The response sets its cookie if the
// visitor does not have it yet.
func (s *Session) adopt(ref reference, record Record) {
	known := false
	for _, old := range s.refs {
		known = known || old.value == ref.value
	}
	if !known {
		maxAge := 0 // none: the browser deletes the cookie when it closes
		if !s.manager.options.BrowserCookie || record.IdleTimeout > 0 {
			maxAge = max(1, int(record.Expires.Sub(s.manager.options.Now()).Round(time.Second)/time.Second))
		}
		s.setToken(ref.value, maxAge)
	}
	s.loggedOut = false
	s.inlineRef[0] = ref
	s.state, s.refs, s.record, s.readErr = stateLive, s.inlineRef[:], record, nil
}

// newRecord returns the record of a session that starts now, without values. If the store's sessions are not mutable, they
// can't be extended, and the session lasts for its whole lifetime.
func (m *Manager) newRecord(r *http.Request, user string, remember bool) Record {
	now := m.options.Now()
	record := Record{User: user, UserAgent: truncateUserAgent(r.UserAgent()), Created: now, Expires: now.Add(m.options.Lifetime)}
	if remember {
		record.Expires, record.IdleTimeout = now.Add(m.options.RememberLifetime), m.options.RememberIdleTimeout
	}
	record.IdleExpires = record.Expires
	if m.promises.Mutable {
		record.IdleExpires = m.idleExpires(record, now)
	}
	return record
}

// truncateUserAgent returns at most 200 bytes of a User-Agent header, without bytes that are not UTF-8.
func truncateUserAgent(agent string) string {
	const maxBytes = 200
	return strings.ToValidUTF8(agent[:min(len(agent), maxBytes)], "")
}
