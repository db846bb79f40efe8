package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// maxUser bounds the length of a user's name in bytes.
const maxUser = 256

// Login makes user the one who is logged in. The visitor gets a new session id, with the values of the old one, and the
// old id is dead at once, so that an id that somebody planted or saw before is worth nothing. A user is named by 1 to
// 256 bytes of UTF-8.
func (s *Session) Login(ctx context.Context, user string) error {
	if user == "" || len(user) > maxUser || !utf8.ValidString(user) {
		return fmt.Errorf("log in user %q: allowed are 1 to %d bytes of UTF-8", user, maxUser)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.renew(ctx, user)
	if errors.Is(err, ErrEnded) {
		// The old session was ended at the same moment. A login stands on its own, without the old values.
		err = s.start(ctx, user, nil, nil)
	}
	return s.keep(err)
}

// Renew gives the session a new id, for any other change of privilege. The old id is dead at once. ErrNotFound: the
// visitor has no session.
func (s *Session) Renew(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(ctx); err != nil {
		return err
	}
	if !s.live {
		return ErrNotFound
	}
	return s.keep(s.renew(ctx, s.record.User))
}

// keep remembers a failure, so that no success is answered in spite of it.
func (s *Session) keep(err error) error {
	if err != nil {
		s.unstored = err
	}
	return err
}

// renew copies the session under a new id, ends the old one, and brings over what changed between the two. Only then
// does the visitor get the new id: whatever fails before leaves the old session as it is.
func (s *Session) renew(ctx context.Context, user string) error {
	if s.started {
		return ErrResponseStarted
	}
	changes := s.changes
	s.changes = nil
	if err := s.ask(ctx); err != nil {
		return err
	}
	if !s.live {
		return s.start(ctx, user, nil, changes)
	}
	old, before := s.ref, s.record
	cookies := slices.Clone(s.header["Set-Cookie"])
	if err := s.start(ctx, user, before.Values, changes); err != nil {
		return err
	}
	undo := func(err error) error {
		s.header["Set-Cookie"] = cookies
		s.manager.end(ctx, s.ref)
		s.record, s.live = Record{}, false
		return err
	}
	last, err := s.manager.take(ctx, old)
	switch {
	case errors.Is(err, ErrNotFound):
		return undo(ErrEnded)
	case err != nil:
		return undo(err)
	}
	if maps.Equal(last.Values, before.Values) {
		return nil
	}
	values, err := Apply(last.Values, changes)
	if err != nil {
		return undo(err)
	}
	ref, record, err := s.manager.update(ctx, s.ref, difference(s.record.Values, values), &s.record)
	if err != nil {
		return undo(err)
	}
	s.become(ref, record)
	return nil
}

// difference returns the changes that turn from into to.
func difference(from, to map[string]string) []Change {
	var changes []Change
	for key, value := range to {
		if old, ok := from[key]; !ok || old != value {
			changes = append(changes, Change{Op: OpSet, Key: key, Value: value})
		}
	}
	for key := range from {
		if _, ok := to[key]; !ok {
			changes = append(changes, Change{Op: OpRemove, Key: key})
		}
	}
	return changes
}

// Logout ends the session for good and removes the visitor's cookie. Without a session it does just the latter.
func (s *Session) Logout(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logout(ctx)
}

func (s *Session) logout(ctx context.Context) error {
	if s.manager == nil {
		return errNoSession
	}
	if s.started {
		return ErrResponseStarted
	}
	s.changes = nil
	if s.present() {
		if err := s.manager.end(ctx, s.ref); err != nil {
			return s.keep(err)
		}
	}
	s.setCookie("", -time.Second)
	s.ref, s.has, s.parsed = reference{}, false, true
	s.record, s.live, s.asked, s.ended, s.failed = Record{}, false, true, false, nil
	return nil
}

// LogoutEverywhere ends every session of the user who is logged in, this one last. ErrUnsupported where the store can't
// tell a user's sessions; then nothing is ended.
func (s *Session) LogoutEverywhere(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(ctx); err != nil {
		return err
	}
	if s.live && s.record.User != "" {
		if err := s.manager.EndUserSessions(ctx, s.record.User); err != nil {
			return s.keep(err)
		}
	}
	return s.logout(ctx)
}

// UserSessions lists the live sessions of the user who is logged in, the newest first; none when nobody is.
// ErrUnsupported where the store can't tell.
func (s *Session) UserSessions(ctx context.Context) ([]Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(ctx); err != nil || !s.live || s.record.User == "" {
		return nil, err
	}
	sessions, err := s.manager.userSessions(ctx, s.record.User)
	if err != nil {
		return nil, err
	}
	list := make([]Info, len(sessions))
	for i, other := range sessions {
		list[i] = s.manager.info(other.ID, other.Record, other.ID == s.ref.id)
	}
	return list, nil
}

// LogoutOther ends another session of the user who is logged in. ErrNotFound: the user has no session of that id.
func (s *Session) LogoutOther(ctx context.Context, id ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(ctx); err != nil {
		return err
	}
	if !s.manager.promises.ByUser {
		return fmt.Errorf("end a session of a user: %w (%s)", ErrUnsupported, s.manager.promises.Name)
	}
	_, other, err := s.manager.load(ctx, reference{id: id})
	if err != nil {
		return err
	}
	if !s.live || s.record.User == "" || other.User != s.record.User {
		return ErrNotFound
	}
	return s.manager.end(ctx, reference{id: id})
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
