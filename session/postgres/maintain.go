package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed table.sql
var table string

const (
	sweepBatch   = 1000 // rows per transaction, so that locks are held for milliseconds only
	sweepBatches = 100  // maximum number of transactions of a Sweep

	roundTimeout = time.Minute     // limits one round of Maintain
	retryAfter   = 5 * time.Second // maximum wait of Maintain after a failure
)

// CreateTable creates the table and its indexes if they don't exist. Any number of servers may call it concurrently. If the table
// exists, the role needs no privilege to create tables.
func CreateTable(ctx context.Context, pool *pgxpool.Pool) error {
	// Name every column, to detect another table of this name.
	_, err := pool.Exec(ctx, `SELECT id, created_at, expires_at, idle_expires_at, ended, user_name, user_agent, contents,
		stale_hour FROM sessions LIMIT 0`)
	var failed *pgconn.PgError
	if !errors.As(err, &failed) || failed.Code != "42P01" { // undefined_table
		return wrap("look for the table sessions", err)
	}
	return wrap("create the table sessions", pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('sessions migrate', 0))`); err != nil {
			return err
		}
		var encoding string
		if err := tx.QueryRow(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
			return err
		}
		if encoding != "UTF8" {
			return fmt.Errorf("the database's encoding is %s: allowed is UTF8", encoding)
		}
		_, err := tx.Exec(ctx, table)
		return err
	}))
}

// Maintain creates the table if necessary, then calls Sweep at random intervals between half and one and a half times every, until
// ctx ends. Every web server may run it: if there is nothing to delete, a sweep only reads an index. Maintain passes errors to
// report and retries.
func (s *Store) Maintain(ctx context.Context, every time.Duration, report func(error)) {
	migrated := false
	round := func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, roundTimeout)
		defer cancel()
		if !migrated {
			err = CreateTable(ctx, s.pool)
			migrated = err == nil
		}
		if migrated {
			_, err = s.Sweep(ctx)
		}
		return err
	}
	for {
		err := round()
		if ctx.Err() != nil {
			return
		}
		wait := every/2 + rand.N(every) // #nosec G404 -- jitter
		if err != nil {
			report(err)
			wait = min(wait, retryAfter)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// Sweep deletes up to 100,000 sessions that expired more than two hours ago, in small transactions, and returns their number. It
// may delete some that expired an hour ago, which leaves enough room for different clocks of servers. While another server
// sweeps, it deletes nothing.
func (s *Store) Sweep(ctx context.Context) (deleted int64, err error) {
	return s.sweep(ctx, time.Now())
}

func (s *Store) sweep(ctx context.Context, now time.Time) (deleted int64, err error) {
	before := now.Add(-2 * time.Hour) // stale_hour is up to an hour before the expiry
	for range sweepBatches {
		var n int64
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			var mine bool
			err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended('sessions sweep', 0))`).Scan(&mine)
			if err != nil || !mine {
				return err
			}
			tag, err := tx.Exec(ctx, sweep, before, sweepBatch)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return deleted, wrap("sweep the table sessions", err)
		}
		deleted += n
		if n < sweepBatch {
			break
		}
	}
	return deleted, nil
}

// wrap adds to err what was being done.
func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
