package postgres

import (
	"context"
	"errors"

	"stateless-servers/session"
)

// The row of an ended session becomes a tombstone: ended is true, expires_at is the expiry of the tombstone, and the user is
// empty, so that no list shows it. The column contents has the state that is kept: the values, and texts under keys that begin
// with "@", which no value has. "@kept" is the purpose: "renewed" for a login that comes again with the old id, "moving" for a
// session that moves to another store. "@user" and "@agent" are in hex. "@timeout" comes from the live session.

// Renew moves a session to a new id with one statement. If that finds no old session, Renew looks for the new one, because an
// earlier attempt may have moved it.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	record, err := scan(s.pool.QueryRow(ctx, renew, r.Old[:], r.Now, r.New[:], r.Record.Created, ceil(r.Record.Expires),
		ceil(r.Record.IdleExpires), []byte(r.Record.User), []byte(r.Record.UserAgent), r.KeepValues, r.AllowRenewed,
		ceil(r.Now.Add(session.EndedFor)), r.Record.IdleTimeout.Microseconds()))
	if errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded) {
		if done, err := s.Load(ctx, r.New, r.Now); !errors.Is(err, session.ErrNotFound) {
			return done, err
		}
	}
	return record, err
}

// End replaces a session by its tombstone.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	return scan(s.pool.QueryRow(ctx, end, id[:], options.Now, ceil(options.Now.Add(session.EndedFor)), options.Moving,
		options.Now.Add(session.MaxClockSkew)))
}

// renew: $1 old id, $2 now, $3 new id, $4 created, $5 expires, $6 idle expires, $7 user, $8 user agent, $9 whether to keep the
// values of another user, $10 whether to start from a tombstone, $11 expiry of the tombstone, $12 the new
// session's own idle timeout in microseconds, or 0. If the new id exists, nothing
// changes: if the old id has a tombstone, an earlier attempt was done; if it is live, that is an error.
const renew = `
WITH ` + locked + `,
source AS (
    SELECT contents, CASE WHEN ended THEN decode(contents ->> '@user', 'hex') ELSE user_name END AS user_name
    FROM locked
    WHERE outcome = 'live' OR $10 AND outcome = 'ended' AND contents ->> '@kept' = 'renewed'
),
renewed AS (
    INSERT INTO sessions (id, created_at, expires_at, idle_expires_at, user_name, user_agent, contents)
    SELECT $3, $4, $5, $6, $7, $8,
        CASE WHEN $9 OR user_name IN ('', $7) THEN contents - '{@kept,@user,@timeout}'::text[] ELSE '{}' END
            || jsonb_strip_nulls(jsonb_build_object('@timeout', nullif($12::bigint, 0)::text))
    FROM source
    ON CONFLICT DO NOTHING
    RETURNING 'live' AS outcome, *
),
written AS (
    UPDATE sessions SET ended = true, expires_at = $11, idle_expires_at = $11, user_name = '', user_agent = '',
        contents = locked.contents || jsonb_build_object('@kept', 'renewed', '@user', encode(locked.user_name, 'hex'))
    FROM locked, renewed WHERE sessions.id = $1 AND locked.outcome = 'live'
)
SELECT ` + columns + ` FROM renewed
UNION ALL
SELECT CASE outcome WHEN 'live' THEN 'the new id exists' ELSE outcome END, created_at, expires_at, idle_expires_at, '', '', '{}'
FROM locked WHERE NOT EXISTS (SELECT FROM renewed)`

// end: $1 id, $2 now, $3 expiry of the tombstone, $4 whether the session moves, $5 minimum expiry of an earlier tombstone from
// which the session is returned again.
const end = `
WITH ` + locked + `,
written AS (
    UPDATE sessions SET ended = true, expires_at = $3, idle_expires_at = $3, user_name = '', user_agent = '',
        contents = CASE WHEN $4 THEN locked.contents || jsonb_build_object(
            '@kept', 'moving', '@user', encode(locked.user_name, 'hex'), '@agent', encode(locked.user_agent, 'hex'),
            '@expires', locked.expires_at, '@idle', locked.idle_expires_at
        ) ELSE '{}' END
    FROM locked WHERE sessions.id = $1 AND outcome = 'live'
),
moving AS (
    SELECT 'live' AS outcome, created_at,
        (contents ->> '@expires')::timestamptz AS expires_at, (contents ->> '@idle')::timestamptz AS idle_expires_at,
        decode(contents ->> '@user', 'hex') AS user_name, decode(contents ->> '@agent', 'hex') AS user_agent,
        contents - '{@kept,@user,@agent,@expires,@idle}'::text[] AS contents
    FROM locked
    WHERE $4 AND outcome = 'ended' AND contents ->> '@kept' = 'moving' AND expires_at > $5
)
SELECT ` + columns + ` FROM moving
UNION ALL
SELECT ` + columns + ` FROM locked WHERE NOT EXISTS (SELECT FROM moving)`
