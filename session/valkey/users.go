package valkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/session"
)

// addToUserList adds a session to its user's list, if it has a user.
func (s *Store) addToUserList(ctx context.Context, id session.ID, r session.Record, now time.Time) error {
	if r.User == "" {
		return nil
	}
	_, err := s.run(ctx, s.addToList, []string{s.userKey(r.User)}, []string{millis(now), millis(r.Expires), id.String()})
	return err
}

// UserSessions reads a page of the user's list, then the record of each session on it. It removes ended sessions from the
// list. It leaves missing sessions on the list, because they may be about to start.
func (s *Store) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	args := []string{millis(query.Now), strconv.Itoa(query.Limit)}
	if query.Cursor != "" {
		expiry, id, err := parseCursor(query.Cursor)
		if err != nil {
			return session.Page{}, err
		}
		args = append(args, expiry, id)
	}
	c, err := s.Client(ctx)
	if err != nil {
		return session.Page{}, err
	}
	entries, err := s.list.Exec(ctx, c, []string{s.userKey(user)}, args).AsStrSlice()
	if err != nil {
		s.connector.check(c, err)
		return session.Page{}, err
	}
	commands := make(client.Commands, len(entries)/2)
	for i := range commands {
		commands[i] = c.B().Hmget().Key(s.prefix + entries[2*i]).Field(metaFields()...).Build()
	}
	var page session.Page
	var ended []string
	for i, reply := range c.DoMulti(ctx, commands...) {
		entry, err := decodeMeta(reply)
		if err != nil {
			return session.Page{}, err
		}
		record, err := entry.live(query.Now)
		id, ok := session.ParseID(entries[2*i])
		switch {
		case !ok:
			ended = append(ended, entries[2*i]) // not an id
		case entry.kept == keptRenewed && errors.Is(err, session.ErrEnded):
			// Keep it on the list: another server that ends all sessions needs to see the renewed id.
			page.Renewed = append(page.Renewed, id)
		case entry.hasEnded:
			ended = append(ended, entries[2*i])
		case errors.Is(err, session.ErrNotFound):
		case err != nil:
			return session.Page{}, err
		case record.User == user:
			page.Sessions = append(page.Sessions, session.UserSession{ID: id, Record: record})
		}
	}
	if len(ended) > 0 {
		s.removeFromUserList(ctx, user, ended...)
	}
	slices.SortStableFunc(page.Sessions, func(a, b session.UserSession) int { return b.Record.Created.Compare(a.Record.Created) })
	if len(commands) == query.Limit {
		page.Next = formatCursor(entries[len(entries)-1], entries[len(entries)-2])
	}
	return page, nil
}

// metaFields returns the fields of a session that decodeMeta reads.
func metaFields() []string {
	return []string{fieldCreated, fieldExpires, fieldIdle, fieldTimeout, fieldUser, fieldAgent, fieldEnded, fieldKept}
}

func decodeMeta(reply client.ValkeyResult) (d decoder, err error) {
	values, err := reply.ToArray()
	if err != nil {
		return d, err
	}
	for i, field := range metaFields() {
		value, err := values[i].ToString()
		switch {
		case err == nil:
			d.put(field, value)
		case !client.IsValkeyNil(err):
			return d, err
		}
	}
	return d, nil
}

// formatCursor returns the cursor of the page after an entry: the expiry and the id of the entry in base64url.
func formatCursor(expiry, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(expiry + " " + id))
}

func parseCursor(cursor string) (expiry, id string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	expiry, id, ok := strings.Cut(string(text), " ")
	if _, notMillis := parseMillis(expiry); err != nil || notMillis != nil || !ok {
		return "", "", fmt.Errorf("cursor %q of a list: %w", cursor, session.ErrInvalid)
	}
	return expiry, id, nil
}

// removeFromUserList removes ids from a user's list. It ignores errors.
func (s *Store) removeFromUserList(ctx context.Context, user string, ids ...string) {
	if c, err := s.Client(ctx); err == nil {
		c.Do(ctx, c.B().Zrem().Key(s.userKey(user)).Member(ids...).Build())
	}
}

// userKey returns the key of a user's list. Hashing bounds its length and keeps user names out of keys.
func (s *Store) userKey(user string) string {
	sum := sha256.Sum256([]byte(user))
	return s.prefix + "user:" + base64.RawURLEncoding.EncodeToString(sum[:])
}
