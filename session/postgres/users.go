package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"stateless-servers/session"
)

// UserSessions reads a page from the partial index of sessions that have a user. A cursor is the last row of the previous page.
// PostgreSQL may read and sort all sessions of the user for a page, because its planner expects few of them.
func (s *Store) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	created, after, err := parseCursor(query.Cursor)
	if err != nil {
		return session.Page{}, err
	}
	rows, err := s.pool.Query(ctx, userSessions, []byte(user), query.Now, query.Limit, created, after[:])
	if err != nil {
		return session.Page{}, err
	}
	var page session.Page
	var last session.UserSession
	found := 0
	for ; rows.Next(); found++ {
		var live bool
		if last, live, err = scanUserSession(rows); err != nil {
			rows.Close()
			return session.Page{}, err
		}
		if live {
			page.Sessions = append(page.Sessions, last)
		}
	}
	if err := rows.Err(); err != nil {
		return session.Page{}, err
	}
	if found == query.Limit {
		page.Next = cursor(last)
	}
	return page, nil
}

func scanUserSession(row pgx.Row) (found session.UserSession, live bool, err error) {
	var id, user, agent []byte
	r := &found.Record
	var timeout *int64
	err = row.Scan(&id, &r.Created, &r.Expires, &r.IdleExpires, &user, &agent, &timeout, &live)
	if timeout != nil {
		r.IdleTimeout = time.Duration(*timeout) * time.Microsecond
	}
	copy(found.ID[:], id)
	r.User, r.UserAgent = string(user), string(agent)
	return found, live, err
}

// cursor returns the cursor of the page after s.
func cursor(s session.UserSession) string {
	return strconv.FormatInt(s.Record.Created.UnixMicro(), 10) + " " + s.ID.String()
}

// parseCursor parses a cursor. The first page comes after an infinite time.
func parseCursor(cursor string) (created pgtype.Timestamptz, id session.ID, err error) {
	if cursor == "" {
		return pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}, id, nil
	}
	micros, text, _ := strings.Cut(cursor, " ")
	n, err := strconv.ParseInt(micros, 10, 64)
	id, ok := session.ParseID(text)
	at := time.UnixMicro(n).UTC()
	if err != nil || !ok || at.Year() < 0 || at.Year() > 9999 { // PostgreSQL would reject the time, which would look like a failure
		return created, id, fmt.Errorf("cursor %q of a list: %w", cursor, session.ErrInvalid)
	}
	return pgtype.Timestamptz{Time: at, Valid: true}, id, nil
}
