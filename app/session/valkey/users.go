package valkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/app/session"
)

// UserSessions reads the user's list and looks at each session on it. Sessions that are gone are struck off the list: an
// id is entered after its session was stored and never used again, so that what is missing is gone for good.
func (s *Store) UserSessions(ctx context.Context, user string, now time.Time) ([]session.UserSession, error) {
	c, err := s.Client(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := c.Do(ctx, c.B().Zrevrangebyscore().Key(s.userKey(user)).Max("+inf").Min("("+millis(now)).
		Limit(0, session.MaxUserSessions).Build()).AsStrSlice()
	if err != nil {
		return nil, err
	}
	commands := make(client.Commands, len(ids))
	for i, id := range ids {
		commands[i] = c.B().Hmget().Key(s.prefix+id).
			Field(fieldCreated, fieldExpires, fieldIdle, fieldUser, fieldAgent, fieldEnded).Build()
	}
	var list []session.UserSession
	var gone []string
	for i, answer := range c.DoMulti(ctx, commands...) {
		record, err := decodeMeta(answer, now)
		id, ok := session.ParseID(ids[i])
		switch {
		case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrEnded), !ok:
			gone = append(gone, ids[i])
		case err != nil:
			return nil, err
		case record.User == user:
			list = append(list, session.UserSession{ID: id, Record: record})
		}
	}
	if len(gone) > 0 {
		s.forget(ctx, user, gone...)
	}
	slices.SortStableFunc(list, func(a, b session.UserSession) int { return b.Record.Created.Compare(a.Record.Created) })
	return list, nil
}

func decodeMeta(answer client.ValkeyResult, now time.Time) (session.Record, error) {
	values, err := answer.ToArray()
	if err != nil {
		return session.Record{}, err
	}
	fields := map[string]string{}
	for i, field := range []string{fieldCreated, fieldExpires, fieldIdle, fieldUser, fieldAgent, fieldEnded} {
		if value, err := values[i].ToString(); err == nil {
			fields[field] = value
		}
	}
	record, err := decode(fields, now)
	record.Values = nil
	return record, err
}

// forget strikes ids off a user's list, as far as the server answers.
func (s *Store) forget(ctx context.Context, user string, ids ...string) {
	if c, err := s.Client(ctx); err == nil {
		c.Do(ctx, c.B().Zrem().Key(s.userKey(user)).Member(ids...).Build())
	}
}

// userKey is the key of a user's list. Hashing bounds its length and keeps names out of the key space.
func (s *Store) userKey(user string) string {
	sum := sha256.Sum256([]byte(user))
	return s.prefix + "user:" + base64.RawURLEncoding.EncodeToString(sum[:])
}
