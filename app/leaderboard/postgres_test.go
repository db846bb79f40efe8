package leaderboard_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"stateless-servers/app/leaderboard"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// testPostgres checks the contract of Board and the properties of the table. Each test starts with an empty table.
func testPostgres(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	pool := newPool(t, server.Endpoint)
	testBoard(t, func() leaderboard.Board {
		emptyPostgres(t, pool)
		return leaderboard.NewPostgres(pool)
	})
	for name, test := range map[string]func(*testing.T, *pgxpool.Pool){
		"keeps only the best": testPostgresKeepsOnlyTheBest, "a locked name": testPostgresLockedName,
		"concurrent names": testPostgresConcurrentNames, "migration": testMigratePostgres,
	} {
		t.Run(name, func(t *testing.T) {
			emptyPostgres(t, pool)
			test(t, pool)
		})
	}
}

func testPostgresKeepsOnlyTheBest(t *testing.T, pool *pgxpool.Pool) {
	board := leaderboard.NewPostgres(pool)
	fill(t, pool, 0, 1009)
	record(t, board, "ann", 5000)
	record(t, board, "ann", 4000) // worse than 5000: ignored
	// The best 1000 are ann and 999 others: 0011 to 1009.
	var rows, gone int
	row := pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE score < 11) FROM leaderboard`)
	if err := row.Scan(&rows, &gone); err != nil || rows != 1000 || gone != 0 {
		t.Errorf("the table has %d rows, %d of the worst (%v), want the best 1000", rows, gone, err)
	}
	// Equal scores are ordered by name: of player-0011 and these two, the first has the last place.
	record(t, board, "zoe", 11)
	record(t, board, "abe", 11)
	var names []string
	err := pool.QueryRow(t.Context(), `SELECT array_agg(name ORDER BY name) FROM leaderboard WHERE score < 13`).Scan(&names)
	if err != nil || !slices.Equal(names, []string{"abe", "player-0012"}) {
		t.Errorf("the last are %q (%v), want abe and player-0012", names, err)
	}
}

// A row that another transaction is updating doesn't block a Record, and isn't deleted.
func testPostgresLockedName(t *testing.T, pool *pgxpool.Pool) {
	fill(t, pool, 1, 1000)
	board := leaderboard.NewPostgres(pool)
	rise, err := pool.Begin(t.Context())
	must.Succeed(t, err)
	defer rise.Rollback(t.Context())
	must.Get(rise.Exec(t.Context(), `UPDATE leaderboard SET score = 9999 WHERE name = 'player-0001'`))(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := board.Record(ctx, "ann", 5000); err != nil { // player-0001 ranks last, but is locked
		t.Fatal(err)
	}
	must.Succeed(t, rise.Commit(t.Context()))
	record(t, board, "bob", 4000) // deletes player-0002 and player-0003
	entries := top(t, board)
	var rows int
	err = pool.QueryRow(t.Context(), `SELECT count(*) FROM leaderboard WHERE score NOT IN (2, 3)`).Scan(&rows)
	if err != nil || rows != 1000 || entries[0].Name != "player-0001" {
		t.Errorf("%d rows, the first %v (%v), want 1000, the first player-0001", rows, entries[0], err)
	}
}

// Concurrent calls insert names and raise others, while the worst are deleted. No call fails, and no raised name is deleted.
func testPostgresConcurrentNames(t *testing.T, pool *pgxpool.Pool) {
	execute(t, pool, `INSERT INTO leaderboard SELECT 'old-' || i, 1 FROM generate_series(1, 1000) AS i`)
	board := leaderboard.NewPostgres(pool)
	var players sync.WaitGroup
	for player := range 8 {
		players.Go(func() {
			for i := range 60 {
				// The same old names are improved by several players, each time to the same score.
				for _, name := range []string{fmt.Sprintf("new-%d-%d", player, i), fmt.Sprintf("old-%d", i*4+player/2)} {
					if err := board.Record(t.Context(), name, 7); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	players.Wait()
	record(t, board, "last", 8)
	var rows, raised int
	row := pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE score = 7) FROM leaderboard`)
	if err := row.Scan(&rows, &raised); err != nil || rows != 1000 || raised != 8*60+4*60 {
		t.Errorf("%d rows, %d of them raised (%v), want 1000 and %d", rows, raised, err, 8*60+4*60)
	}
}

func testMigratePostgres(t *testing.T, pool *pgxpool.Pool) {
	execute(t, pool, `DROP TABLE IF EXISTS leaderboard`)
	var servers sync.WaitGroup
	for range 8 {
		servers.Go(func() {
			if err := leaderboard.MigratePostgres(t.Context(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	servers.Wait()
	expect(t, leaderboard.NewPostgres(pool), []leaderboard.Entry{})

	execute(t, pool, `DROP TABLE leaderboard; CREATE TABLE leaderboard (team text)`)
	if err := leaderboard.MigratePostgres(t.Context(), pool); err == nil || !strings.Contains(err.Error(), "leaderboard") {
		t.Errorf("with a different table of that name: %v, want an error", err)
	}
	execute(t, pool, `DROP TABLE leaderboard`)
}

func emptyPostgres(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	execute(t, pool, `DROP TABLE IF EXISTS leaderboard`)
	must.Succeed(t, leaderboard.MigratePostgres(t.Context(), pool))
}

func newPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool := must.Get(pgxpool.New(t.Context(), url))(t)
	t.Cleanup(pool.Close)
	return pool
}

// fill records a score for each number: player-0007 has 7.
func fill(t *testing.T, pool *pgxpool.Pool, from, to int) {
	t.Helper()
	execute(t, pool, fmt.Sprintf(
		`INSERT INTO leaderboard SELECT 'player-' || to_char(i, 'FM0000'), i FROM generate_series(%d, %d) AS i`, from, to))
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	must.Get(pool.Exec(t.Context(), sql))(t)
}
