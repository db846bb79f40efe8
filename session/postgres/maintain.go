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
	sweepBatch   = 1000 // rows deleted in one transaction: its locks are held for milliseconds
	sweepBatches = 100  // of one Sweep

	roundTimeout = time.Minute     // of what Maintain does at once
	retryAfter   = 5 * time.Second // the most that Maintain waits after a failure
)

// CreateTable makes the table and its indexes where there are none. Any number of servers may do so at once. A role that may
// not create tables needs none of that privilege once they exist.
func CreateTable(ctx context.Context, pool *pgxpool.Pool) error {
	// Naming the columns notices another table of this name.
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

// Maintain makes the table if need be, then sweeps at random intervals around every, until ctx ends. Every server may run it;
// a sweep that finds nothing is one look at an index. Failures are passed to report, and tried again.
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

// Sweep deletes sessions that expired more than two hours ago, and returns how many; up to 100,000, in small
// transactions. It may delete those that expired an hour ago: servers whose clocks differ delete no live session. While
// another server is at it, it deletes none.
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

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
