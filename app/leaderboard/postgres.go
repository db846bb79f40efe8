package leaderboard

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresTable has the order that Top wants in its index. The collation orders names by their bytes, as Go does.
const postgresTable = `
CREATE TABLE IF NOT EXISTS leaderboard (
    name text COLLATE "C" PRIMARY KEY,
    score bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS leaderboard_rank ON leaderboard (score DESC, name);
COMMENT ON TABLE leaderboard IS 'the best score of each name; the best names are kept'`

// postgresRecord: $1 name, $2 score. The condition is checked on the row as it is when it is locked. A score that is no
// better writes nothing, and affects no row.
const postgresRecord = `
INSERT INTO leaderboard AS best (name, score) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET score = excluded.score WHERE best.score < excluded.score`

// postgresTrim deletes what ranks below place $1 + 1. A row that somebody is writing is left to the next time, so that
// nobody waits for one row while holding others. The condition is checked on each row as it is when it is locked, so that
// no name goes that has risen meanwhile.
const postgresTrim = `
WITH last AS (SELECT name, score FROM leaderboard ORDER BY score DESC, name OFFSET $1 LIMIT 1)
DELETE FROM leaderboard WHERE name IN (
    SELECT l.name FROM leaderboard AS l, last
    WHERE l.score < last.score OR l.score = last.score AND l.name > last.name
    FOR UPDATE OF l SKIP LOCKED
)`

const postgresTop = `SELECT name, score FROM leaderboard ORDER BY score DESC, name LIMIT $1`

// Postgres is a Board in PostgreSQL: the table that MigratePostgres makes, with a row a name. Names are UTF-8 without
// NUL.
type Postgres struct{ pool *pgxpool.Pool }

var _ Board = (*Postgres)(nil)

// NewPostgres returns a Board in the pool's database.
func NewPostgres(pool *pgxpool.Pool) *Postgres { return &Postgres{pool} }

// MigratePostgres makes the table and its index where there are none. Any number of servers may do so at once. A role
// that may not create tables needs none of that privilege once they exist.
func MigratePostgres(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `SELECT name, score FROM leaderboard LIMIT 0`) // notices another table of this name
	var failed *pgconn.PgError
	if err == nil {
		return nil
	}
	if !errors.As(err, &failed) || failed.Code != "42P01" { // undefined_table
		return fmt.Errorf("look for the table leaderboard: %w", err)
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// Overlapping CREATE TABLE IF NOT EXISTS fail on each other.
		_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('leaderboard migrate', 0))`)
		if err == nil {
			_, err = tx.Exec(ctx, postgresTable)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create the table leaderboard: %w", err)
	}
	return nil
}

// Record keeps the score unless the name has a better one.
func (p *Postgres) Record(ctx context.Context, name string, score int64) error {
	tag, err := p.pool.Exec(ctx, postgresRecord, name, score)
	if err == nil && tag.RowsAffected() > 0 {
		_, err = p.pool.Exec(ctx, postgresTrim, kept-1)
	}
	if err != nil {
		return fmt.Errorf("record a score: %w", err)
	}
	return nil
}

// Top returns the best entries.
func (p *Postgres) Top(ctx context.Context) ([]Entry, error) {
	rows, err := p.pool.Query(ctx, postgresTop, Places)
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	return entries, nil
}
