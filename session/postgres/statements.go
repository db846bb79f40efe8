package postgres

import "stateless-servers/session"

// outcomes maps the column outcome of a statement's result to an error.
var outcomes = map[string]error{
	"live": nil, "missing": session.ErrNotFound, "ended": session.ErrEnded,
	"too large": session.ErrTooLarge, "counter": session.ErrCounter, "changed": session.ErrChanged,
}

// outcome is an expression for the state of a row at $2.
const outcome = `CASE WHEN least(expires_at, idle_expires_at) <= $2 THEN 'missing' WHEN ended THEN 'ended' ELSE 'live' END`

// columns are the columns that scan reads. They hide the state that a tombstone keeps.
const columns = `outcome, created_at, expires_at, idle_expires_at, user_name, user_agent,
    CASE WHEN outcome = 'live' THEN contents ELSE '{}' END AS contents`

// locked selects the newest version of row $1 and locks it until the statement ends. In READ COMMITTED a statement sees the rows
// as of its start; FOR UPDATE waits until concurrent writers have committed and then reads the new version.
//
// A statement locks one existing row and then no other, so statements can't deadlock.
const locked = `locked AS MATERIALIZED (SELECT *, ` + outcome + ` AS outcome FROM sessions WHERE id = $1 FOR UPDATE)`

// create: $1 id, $2 created, $3 expires, $4 idle expires, $5 user, $6 user agent, $7 keys, $8 values.
const create = `
INSERT INTO sessions (id, created_at, expires_at, idle_expires_at, user_name, user_agent, contents)
VALUES ($1, $2, $3, $4, $5, $6, jsonb_object($7::text[], $8::text[]))
ON CONFLICT DO NOTHING`

// load: $1 id, $2 now.
const load = `
SELECT ` + columns + ` FROM (SELECT *, ` + outcome + ` AS outcome FROM sessions WHERE id = $1) AS session`

// update: $1 id, $2 now, $3 idle expires of a session without its own idle timeout, $4 maximum size, $5 keys to set, $6 their values, $7 keys to remove, $8 keys to add to,
// $9 numbers to add, $10 session.MaxCounter, $11 for each key to remove the value that it must have, or empty, $12 the time from which
// the session's own idle timeout counts. A sum is null if the value is not a counter or the sum is out of range. The size
// doesn't count the character that escapes another one in a key.
const update = `
WITH ` + locked + `,
sums AS (
    SELECT key, CASE WHEN abs(before) <= $10 AND abs(n) <= $10 AND abs(before + n) <= $10 THEN before + n END AS sum
    FROM (
        SELECT key, n, CASE WHEN text ~ '^(0|-?[1-9][0-9]{0,15})$' THEN text::numeric END AS before
        FROM locked, unnest($8::text[], $9::numeric[]) AS added (key, n), coalesce(contents ->> key, '0') AS text
    ) AS counters
),
changed AS (
    SELECT (contents || jsonb_object($5::text[], $6::text[])
        || coalesce((SELECT jsonb_object_agg(key, sum::text) FROM sums), '{}')) - $7::text[] AS contents
    FROM locked
),
checked AS (
    SELECT CASE
            WHEN outcome <> 'live' THEN outcome
            WHEN EXISTS (SELECT FROM sums WHERE sum IS NULL) THEN 'counter'
            WHEN EXISTS (
                SELECT FROM unnest($7::text[], $11::text[]) AS removed (key, value)
                WHERE value <> '' AND locked.contents ->> key IS DISTINCT FROM value
            ) THEN 'changed'
            WHEN octet_length(user_name) + octet_length(user_agent) + (
                SELECT coalesce(sum(octet_length(translate(key, chr(1), '')) + octet_length(value)), 0)
                FROM jsonb_each_text(changed.contents) WHERE key <> '@timeout'
            ) > $4 THEN 'too large'
            ELSE 'live'
        END AS outcome,
        created_at, expires_at, user_name, user_agent, changed.contents,
        coalesce($12::timestamptz + (locked.contents ->> '@timeout')::bigint * interval '1 microsecond', $3::timestamptz) AS idle_expires_at
    FROM locked, changed
),
written AS (
    UPDATE sessions SET contents = checked.contents, idle_expires_at = checked.idle_expires_at
    FROM checked WHERE id = $1 AND outcome = 'live'
)
SELECT ` + columns + ` FROM checked`

// userSessions: $1 user, $2 now, $3 maximum number of rows, $4 and $5 created and id of the row before the page. The result
// includes expired sessions, so that a page reads a bounded part of the index.
const userSessions = `
SELECT id, created_at, expires_at, idle_expires_at, user_name, user_agent, (contents ->> '@timeout')::bigint, least(expires_at, idle_expires_at) > $2
FROM sessions
WHERE sha256(user_name) = sha256($1) AND user_name <> '' AND user_name = $1
    AND (created_at, id) < ($4, $5::bytea)
ORDER BY created_at DESC, id DESC LIMIT $3`

// sweep: $1 exclusive limit of stale_hour, $2 maximum number of rows.
const sweep = `
WITH batch AS MATERIALIZED (
    SELECT id FROM sessions WHERE stale_hour < $1 ORDER BY stale_hour LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM sessions USING batch WHERE sessions.id = batch.id`
