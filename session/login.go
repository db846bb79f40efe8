package session

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// maxUser bounds the length of a user's name in bytes.
const maxUser = 256

// A LoginOption changes what Login does.
type LoginOption func(*Renewal)

// KeepValues has a login keep the session's values even when another user was logged in.
func KeepValues() LoginOption { return func(r *Renewal) { r.KeepValues = true } }

// Login makes user the one who is logged in. The visitor gets a session of a new id and a new lifetime, and the old id is
// dead at once, so that an id that somebody planted or saw before is worth nothing. The new session has the values of the
// old one, unless another user was logged in there: what one user left never reaches another, but by KeepValues. Changes
// that this request has recorded and not sent yet belong to the new session.
//
// A login that is submitted twice, or again after its answer was lost, starts from the same values within EndedFor, and
// ends logged in. A user is named by 1 to 256 bytes of UTF-8; ErrInvalid is the error of other names.
func (s *Session) Login(ctx context.Context, user string, options ...LoginOption) error {
	if user == "" || len(user) > maxUser || !utf8.ValidString(user) {
		return fmt.Errorf("log in user %q: %w: allowed are 1 to %d bytes of UTF-8", user, ErrInvalid, maxUser)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	renewal := Renewal{Record: s.manager.newRecord(s.request, user), AllowRenewed: true}
	for _, option := range options {
		option(&renewal)
	}
	err := s.renew(ctx, renewal)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		// There is no old session, or it was logged out at the same moment. A login stands on its own.
		err = s.logIn(ctx, renewal.Record)
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

// logIn starts a session from nothing but the changes that wait.
func (s *Session) logIn(ctx context.Context, record Record) (err error) {
	if record.Values, err = Apply(nil, s.changes); err != nil {
		return err
	}
	s.changes = nil
	return s.create(ctx, record)
}

// Renew gives the session a new id, for any change of privilege other than login. The old id is dead at once. The session
// keeps its values, its user, and its absolute lifetime (OWASP ASVS 5.0, 7.3.2). ErrNotFound means that the visitor has no
// session.
func (s *Session) Renew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	if err := s.read(ctx); err != nil {
		return err
	}
	switch s.state {
	case stateEnded:
		return s.fail(ErrEnded)
	case stateLive:
	default:
		return ErrNotFound
	}
	record := s.record
	if s.manager.promises.Mutable {
		record.IdleExpires = s.manager.idleExpires(s.manager.options.Now())
	}
	err := s.renew(ctx, Renewal{Record: record})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		err = s.gone()
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

// renew gives the visitor's session a new id. Changes that wait go on waiting, for the new session.
func (s *Session) renew(ctx context.Context, renewal Renewal) error {
	renewal.Now = s.manager.options.Now()
	if s.present() == stateLive {
		renewal.Known = &s.record
	}
	return s.each(func(ref reference) error {
		ref, record, rest, err := s.manager.renew(ctx, ref, renewal, s.changes)
		if err == nil {
			s.adopt(ref, record)
			s.changes = rest
		}
		return err
	})
}

// Logout ends the session for good and removes the visitor's cookie. Without a session it does just the latter. Changes
// that wait are dropped. A change that was refused before does not keep a visitor logged in: Logout ends the session, and
// returns that error.
func (s *Session) Logout(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logout(ctx)
}

func (s *Session) logout(ctx context.Context) error {
	if s.manager == nil || s.begun {
		return s.check()
	}
	s.changes = nil
	s.present()
	for _, ref := range s.refs {
		if err := s.manager.end(ctx, ref); err != nil {
			return s.fail(err)
		}
	}
	s.setCookie("", -time.Second)
	s.state, s.refs, s.record, s.readErr = stateNone, nil, Record{}, nil
	return s.failed
}

// LogoutEverywhere ends every session of the user who is logged in, this one last, so that a visitor can try again after
// an error. ErrUnsupported means that the store can't list a user's sessions; then nothing is ended. See
// Manager.EndUserSessions.
func (s *Session) LogoutEverywhere(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	if err := s.read(ctx); err != nil {
		return err
	}
	if s.state == stateLive && s.record.User != "" {
		if err := s.manager.endUserSessions(ctx, s.record.User, s.refs[0].id); err != nil {
			return s.fail(err)
		}
	}
	return s.logout(ctx)
}

// UserSessions returns a page of the live sessions of the user who is logged in, about the newest first, and the cursor
// of the next page: "" on the last. The first page has the cursor "". A page has at most limit sessions, or MaxPage; it
// may have fewer, and still be followed by another. Nobody who is logged in has no sessions. ErrUnsupported means that
// the store can't list them, ErrInvalid that the cursor is malformed.
func (s *Session) UserSessions(ctx context.Context, cursor string, limit int) (list []Info, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(ctx); err != nil || s.state != stateLive || s.record.User == "" {
		return nil, "", err
	}
	page, err := s.manager.userSessions(ctx, s.record.User, cursor, limit)
	if err != nil {
		return nil, "", err
	}
	list = make([]Info, len(page.Sessions))
	for i, other := range page.Sessions {
		list[i] = s.manager.info(other.ID, other.Record, other.ID == s.refs[0].id)
	}
	return list, page.Next, nil
}

// LogoutOther ends another session of the user who is logged in. ErrNotFound means that the user has no session of that
// id.
func (s *Session) LogoutOther(ctx context.Context, id ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	if err := s.read(ctx); err != nil {
		return err
	}
	if !s.manager.promises.ListsByUser {
		return fmt.Errorf("end a session of a user: %w (%s)", ErrUnsupported, s.manager.promises.Name)
	}
	if s.state != stateLive || s.record.User == "" {
		return ErrNotFound
	}
	_, other, err := s.manager.load(ctx, reference{id: id})
	if err != nil {
		return err
	}
	if other.User != s.record.User {
		return ErrNotFound
	}
	if err := s.manager.end(ctx, reference{id: id}); err != nil {
		return s.fail(err)
	}
	return nil
}

func (m *Manager) info(id ID, r Record, current bool) Info {
	expires := r.IdleExpires
	if r.Expires.Before(expires) {
		expires = r.Expires
	}
	return Info{
		ID: id, User: r.User, UserAgent: r.UserAgent, Created: r.Created, Expires: expires,
		LastSeen: r.IdleExpires.Add(-m.options.IdleTimeout), Current: current,
	}
}
