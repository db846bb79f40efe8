package leaderboard

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresTable creates the table, and an index in the order of Top. The collation orders names by their bytes, as Go does.
const postgresTable = `
CREATE TABLE IF NOT EXISTS leaderboard (
    name text COLLATE "C" PRIMARY KEY,
    score bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS leaderboard_rank ON leaderboard (score DESC, name);
COMMENT ON TABLE leaderboard IS 'the best score of each name; the best names are kept'`

// postgresRecord stores the score $2 of the name $1. PostgreSQL evaluates the condition on the locked row. A score that isn't
// better affects no row.
const postgresRecord = `
INSERT INTO leaderboard AS best (name, score) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET score = excluded.score WHERE best.score < excluded.score`

// postgresTrim deletes the rows below rank $1 + 1. It skips locked rows, which a later call deletes, so that no transaction
// waits for a row while it holds others. PostgreSQL evaluates the condition on each locked row, so a name whose score has
// risen meanwhile is not deleted.
const postgresTrim = `
WITH last AS (SELECT name, score FROM leaderboard ORDER BY score DESC, name OFFSET $1 LIMIT 1)
DELETE FROM leaderboard WHERE name IN (
    SELECT l.name FROM leaderboard AS l, last
    WHERE l.score < last.score OR l.score = last.score AND l.name > last.name
    FOR UPDATE OF l SKIP LOCKED
)`

const postgresTop = `SELECT name, score FROM leaderboard ORDER BY score DESC, name LIMIT $1`

// Postgres is a Board in the PostgreSQL table that MigratePostgres creates, with a row for each name. Names are UTF-8 without
// NUL.
type Postgres struct{ pool *pgxpool.Pool }

var _ Board = (*Postgres)(nil)

// NewPostgres returns a Board in the pool's database.
func NewPostgres(pool *pgxpool.Pool) *Postgres { return &Postgres{pool} }

// MigratePostgres creates the table and its index if they don't exist. Servers may call it concurrently. Once the table
// exists, the role needs no privilege to create tables.
func MigratePostgres(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `SELECT name, score FROM leaderboard LIMIT 0`) // fails on a different table of this name
	var failed *pgconn.PgError
	if err == nil {
		return nil
	}
	if !errors.As(err, &failed) || failed.Code != "42P01" { // undefined_table
		return fmt.Errorf("look for the table leaderboard: %w", err)
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// Concurrent CREATE TABLE IF NOT EXISTS statements can fail.
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

// Record stores the score unless the name has an equal or better one.
func (p *Postgres) Record(ctx context.Context, name string, score int64) error {
	tag, err := p.pool.Exec(ctx, postgresRecord, name, score)
	if err == nil && tag.RowsAffected() > 0 {
		_, err = p.pool.Exec(ctx, postgresTrim, maxNames-1)
	}
	if err != nil {
		return fmt.Errorf("record a score: %w", err)
	}
	return nil
}

// Top returns the best entries.
func (p *Postgres) Top(ctx context.Context) ([]Entry, error) {
	rows, err := p.pool.Query(ctx, postgresTop, MaxEntries)
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Entry])
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	return entries, nil
}
