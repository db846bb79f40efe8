package session

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxUser is the maximum length of a user name in bytes.
const maxUser = 256

// A LoginOption is an option of Session.Login.
type LoginOption func(*login)

// A login has the options of a call of Session.Login.
type login struct{ keepValues, remember bool }

// KeepValues makes a login keep the session's values even if another user was logged in.
func KeepValues() LoginOption { return func(l *login) { l.keepValues = true } }

// Remember makes a login start a session with the limits Options.RememberLifetime and Options.RememberIdleTimeout, whose
// cookie outlives the browser, if remember is true. It usually comes from a checkbox of the login form:
//
//	err := session.From(ctx).Login(ctx, user, session.Remember(r.FormValue("remember") != ""))
//
// The limits stay with the session, also under a new id. The next login decides anew.
func Remember(remember bool) LoginOption { return func(l *login) { l.remember = remember } }

// Login logs user in. The visitor gets a session with a new id and a new lifetime. The old id ends at once, so an id that an
// attacker planted or saw before (session fixation) is worthless. The new session takes over the values of the old one,
// unless another user was logged in there; the option KeepValues changes that. Changes that this request has recorded and
// not yet sent go to the new session.
//
// If a login is submitted twice, or again after its response was lost, then within EndedFor it starts from the same values
// and succeeds. A user name is 1 to 256 bytes of UTF-8; for any other name Login returns ErrInvalid.
func (s *Session) Login(ctx context.Context, user string, options ...LoginOption) error {
	if user == "" || len(user) > maxUser || !utf8.ValidString(user) {
		return fmt.Errorf("log in user %q: %w: allowed are 1 to %d bytes of UTF-8", user, ErrInvalid, maxUser)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkChangeable(); err != nil {
		return err
	}
	var login login
	for _, option := range options {
		option(&login)
	}
	renewal := Renewal{
		Record: s.manager.newRecord(s.request, user, login.remember), KeepValues: login.keepValues, AllowRenewed: true,
	}
	err := s.renew(ctx, renewal)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		// There is no old session, or it was logged out concurrently: start an empty one.
		err = s.startLoggedIn(ctx, renewal.Record)
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

// startLoggedIn creates a session with only the values of the recorded changes.
func (s *Session) startLoggedIn(ctx context.Context, record Record) (err error) {
	if record.Values, err = Apply(nil, s.changes); err != nil {
		return err
	}
	s.changes = nil
	return s.create(ctx, record)
}

// Renew gives the session a new id, for any change of privilege other than login. The old id ends at once. The session keeps
// its values, its user, and its absolute lifetime (OWASP ASVS 5.0, 7.3.2). Renew returns ErrNotFound if the visitor has no
// session.
func (s *Session) Renew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkChangeable(); err != nil {
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
		record.IdleExpires = s.manager.idleExpires(record, s.manager.options.Now())
	}
	err := s.renew(ctx, Renewal{Record: record})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		err = s.markEnded()
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

// renew gives the visitor's session a new id. Recorded changes stay recorded, for the new session.
func (s *Session) renew(ctx context.Context, renewal Renewal) error {
	renewal.Now = s.manager.options.Now()
	if s.parseRequest() == stateLive {
		renewal.Known = &s.record
	}
	return s.tryEach(func(ref reference) error {
		ref, record, rest, err := s.manager.renew(ctx, ref, renewal, s.changes)
		if err == nil {
			s.adopt(ref, record)
			s.changes = rest
		}
		return err
	})
}

// Logout ends the session and removes the visitor's cookie. The response has the header Clear-Site-Data if
// Options.ClearSiteData is set. If the visitor has no session, it only removes the cookie. It
// drops changes that have not been sent. If an earlier change of the request failed, Logout still ends the session, and
// returns the error of that change.
func (s *Session) Logout(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logout(ctx)
}

func (s *Session) logout(ctx context.Context) error {
	if s.manager == nil || s.begun {
		return s.checkChangeable()
	}
	s.changes = nil
	s.parseRequest()
	for _, ref := range s.refs {
		if err := s.manager.end(ctx, ref); err != nil {
			return s.fail(err)
		}
	}
	s.setToken("", -1)
	s.loggedOut = true
	s.state, s.refs, s.record, s.readErr = stateNone, nil, Record{}, nil
	return s.failed
}

// LogoutEverywhere ends every session of the user who is logged in, as Manager.EndUserSessions does. It ends the session of
// this request last, so that the visitor can retry after an error. It returns ErrUnsupported, and ends nothing, if the store
// can neither list the sessions of a user nor revoke them.
func (s *Session) LogoutEverywhere(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkChangeable(); err != nil {
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

// UserSessions returns a page of the live sessions of the user who is logged in, approximately from the newest to the
// oldest, and the cursor of the next page, which is "" on the last page. The cursor of the first page is "". A page has at
// most limit sessions, and at most MaxPage; it may have fewer and still not be the last. If nobody is logged in, the list is
// empty. UserSessions returns ErrUnsupported if the store can't list sessions, and ErrInvalid if the cursor is malformed.
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

// LogoutOther ends the session with the given id if it belongs to the user who is logged in. It returns ErrNotFound if the
// user has no such session, and ErrUnsupported if the store can't list the sessions of a user.
func (s *Session) LogoutOther(ctx context.Context, id ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkChangeable(); err != nil {
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
	seen, now := r.Created, m.options.Now()
	if extended := r.IdleExpires.Add(now.Sub(m.idleExpires(r, now))); m.promises.Mutable && extended.After(seen) {
		seen = extended
	}
	if seen.After(now) { // extended by a server with another IdleTimeout, or by a clock that is ahead
		seen = now
	}
	return Info{
		ID: id, User: r.User, UserAgent: r.UserAgent, Created: r.Created, Expires: expires, LastSeen: seen, Current: current,
	}
}
