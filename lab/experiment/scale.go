package experiment

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stateless-servers/session"
)

// scale fills each store with up to the Runner's Sessions, and measures what a session takes and how long operations take.
type scale struct {
	stores    []scaledKind
	maxGrowth float64 // of the median from the least to the greatest number of sessions
}

func newScale() scale { return scale{scaledKinds(), 4} }

func (scale) Name() string { return "scale" }

func (scale) Claim() string {
	return "With a hundred times as many sessions, the median of a read, a write, a login and a list of the user's sessions takes " +
		"at most four times as long, and so does a login of a user with very many sessions. No operation fails, also while " +
		"expired sessions are deleted."
}

const (
	sessionBytes = 500  // of a session, as session.Record counts it
	largeBytes   = 2000 // of a larger one, from which the bytes taken per byte stored follow
	maxTaken     = 2000 // bytes that a session of sessionBytes may take
	pageEntries  = 100  // of a list of sessions
	userTries    = 100  // of each operation for the user with many sessions
	minSessions  = 10   // for which there are operations
)

func (e scale) Run(ctx context.Context, runner *Runner) (Observation, error) {
	n := runner.Sessions
	levels, window := []int{n / 100, n / 10, n}, 5*runner.Phase
	o := Observation{Advice: "Choose the memory of a store by the bytes per session above. The number of sessions doesn't decide " +
		"its latency, but how full its memory is decides whether it keeps them."}
	o.set("sessions", "%d, %d and %d of %d bytes, with %d values and a user agent of %d bytes, of users with 2 sessions each; or as many "+
		"as the store creates in %v (DynamoDB Local: %v)", levels[0], levels[1], levels[2],
		sessionBytes, valueCount, len(userAgent), e.stores[0].fill, e.stores[len(e.stores)-1].fill)
	o.set("operations", "%d per second of each kind for %v, by the library's store, each on a random session, and %d with DynamoDB Local; "+
		"a list has up to %d entries", e.stores[0].rate, window, e.stores[len(e.stores)-1].rate, pageEntries)
	o.set("growth", "at each level, a median is divided by the median of a ping, which doesn't depend on the number of sessions, because "+
		"the machine may be busier at one level than at another")
	o.set("deletion", "a tenth more sessions expire at the start of the same operations. Valkey deletes them by itself. Memcached's "+
		"crawler and the sweep of PostgreSQL are started once per second. DynamoDB Local deletes nothing")
	o.set("memory", "Valkey: used_memory; Memcached: chunks in use, with their unused ends; PostgreSQL: the table with its indexes on "+
		"disk; DynamoDB Local: not measurable")

	columns := []string{"store", "sessions", "failed"}
	for _, op := range operations() {
		columns = append(columns, op.name+" p50", "p99")
	}
	t := scaleTables{
		quiet:    Table{Title: "Latency, in ms", Columns: columns},
		sweeping: Table{Title: "Latency while expired sessions are deleted, in ms", Columns: append(slices.Clone(columns), "deleted")},
		taken: Table{Title: "Bytes that a session takes, in memory or on disk", Columns: []string{"store", "sessions", "bytes of a session",
			"logged in", "bytes taken"}},
		many: Table{Title: "Operations for one user with many sessions, in ms", Columns: []string{"store", "sessions of the user",
			"first page p50", "max", "login p50", "max", "whole list", "ending all"}},
	}
	for _, kind := range e.stores {
		if err := e.sizes(ctx, runner, kind, n/20, &t); err != nil {
			return o, fmt.Errorf("%s: %w", kind.name, err)
		}
		if err := e.observe(ctx, runner, kind, levels, window, &o, &t); err != nil {
			return o, fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	o.Tables = append(o.Tables, t.quiet, t.sweeping, t.taken, t.many)
	return o, nil
}

// scaleTables are the tables of the experiment.
type scaleTables struct{ quiet, sweeping, taken, many Table }

// sizes measures what anonymous sessions of both sizes take, on an empty server.
func (scale) sizes(ctx context.Context, runner *Runner, kind scaledKind, n int, t *scaleTables) (err error) {
	if kind.local {
		return nil
	}
	s, err := kind.open(ctx, runner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, size := range []int{sessionBytes, largeBytes} {
		if _, err := s.grow(ctx, len(s.ids)+n, n, size, "", t); err != nil {
			return err
		}
	}
	return nil
}

// grow creates sessions until there are n, adds the bytes that each takes to the table, in the row of so many sessions, and
// returns them.
func (s *scaled) grow(ctx context.Context, n, sessions, size int, user string, t *scaleTables) (each int64, err error) {
	had, loggedIn := len(s.ids), "no"
	before, err := s.used(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.fillTo(ctx, n, newRecords(size, user).live); err != nil {
		return 0, err
	}
	after, err := s.used(ctx)
	if err != nil || s.local {
		return 0, err
	}
	if user != "" {
		loggedIn = "yes"
	}
	each = (after - before) / max(1, int64(len(s.ids)-had))
	t.taken.Rows = append(t.taken.Rows, []any{s.name, sessions, size, loggedIn, each})
	return each, nil
}

// observe fills a store level by level and measures at each.
func (e scale) observe(ctx context.Context, runner *Runner, kind scaledKind, levels []int, window time.Duration, o *Observation,
	t *scaleTables,
) (err error) {
	s, err := kind.open(ctx, runner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.fillTo(ctx, minSessions, newRecords(sessionBytes, "user-").live); err != nil || len(s.ids) < minSessions {
		return errors.Join(err, fmt.Errorf("created %d sessions in %v, want %d", len(s.ids), s.fill, minSessions))
	}
	if _, err := s.operate(ctx, runner.Phase); err != nil { // opens connections, and warms up the server
		return err
	}
	var first, last measured
	var each int64
	failed, deleted := 0, int64(0)
	for i := 0; i < len(levels) && (i == 0 || len(s.ids) == levels[i-1]); i++ { // no more levels after one that took too long
		had, began := len(s.ids), time.Now()
		if each, err = s.grow(ctx, levels[i], levels[i], sessionBytes, "user-", t); err != nil {
			return err
		}
		perSecond := float64(len(s.ids)-had) / time.Since(began).Seconds()
		s.report("%d sessions, %.0f per second; operating", len(s.ids), perSecond)
		if last, err = s.operate(ctx, window); err != nil {
			return err
		}
		if i == 0 {
			first = last
		}
		t.quiet.Rows = append(t.quiet.Rows, last.row(s.name, len(s.ids)))
		failed += last.failed
		if s.local {
			continue
		}
		m, n, err := s.operateWhileDeleting(ctx, window, perSecond)
		if err != nil {
			return err
		}
		t.sweeping.Rows = append(t.sweeping.Rows, append(m.row(s.name, len(s.ids)), n))
		failed, deleted = failed+m.failed, deleted+n
	}
	least := levels[0]
	if !s.local {
		least = levels[len(levels)-1]
		o.assertAtMost(fmt.Sprintf("bytes that a session of %d bytes takes with %s", sessionBytes, s.name), float64(each), maxTaken)
	}
	o.assertAtMost("failed operations with "+s.name, float64(failed), 0)
	if !s.local {
		o.assertAtLeast("expired sessions deleted meanwhile by "+s.name, float64(deleted), 1)
	}
	o.assertAtLeast("sessions in "+s.name, float64(len(s.ids)), float64(least))
	for i, op := range operations() {
		if i != opPing && len(first.took[i]) > 0 {
			o.assertAtMost(fmt.Sprintf("growth of the median of %s with %s, relative to that of a ping", op.name, s.name),
				last.inPings(i)/first.inPings(i), e.maxGrowth)
		}
	}
	if users, ok := s.Store.(session.UserStore); ok {
		return e.observeUser(ctx, s, users, levels[0], last, o, t)
	}
	return nil
}

// observeUser gives one user many sessions, and then lists them, logs in once more, and ends all.
func (e scale) observeUser(ctx context.Context, s *scaled, users session.UserStore, n int, others measured, o *Observation,
	t *scaleTables,
) error {
	s.report("a user with %d sessions", n)
	const user = "everywhere"
	all := newRecords(sessionBytes, user)
	began := len(s.ids)
	if err := s.fillTo(ctx, began+n, all.live); err != nil {
		return err
	}
	mine := s.ids[began:]
	if len(mine) < n {
		return fmt.Errorf("created %d sessions of one user in %v, want %d", len(mine), s.fill, n)
	}
	var pages, logins []time.Duration
	for i := range userTries {
		start := time.Now()
		if _, err := users.UserSessions(ctx, user, session.PageQuery{Now: start, Limit: pageEntries}); err != nil {
			return fmt.Errorf("list the sessions of a user: %w", err)
		}
		pages, start = append(pages, time.Since(start)), time.Now()
		if err := s.login(ctx, &mine[i%n], all.live(0)); err != nil {
			return fmt.Errorf("log a user in: %w", err)
		}
		logins = append(logins, time.Since(start))
	}
	start := time.Now()
	listed, err := listAll(ctx, users, user)
	if err != nil {
		return err
	}
	list := time.Since(start)
	manager, err := session.New(users, session.Options{StoreTimeout: fillTimeout})
	if err != nil {
		return err
	}
	start = time.Now()
	if err := manager.EndUserSessions(ctx, user); err != nil {
		return err
	}
	end := time.Since(start)
	left, err := listAll(ctx, users, user)
	if err != nil {
		return err
	}
	t.many.Rows = append(t.many.Rows, []any{s.name, n, fine(quantile(pages, 0.5)), fine(quantile(pages, 1)),
		fine(quantile(logins, 0.5)), fine(quantile(logins, 1)), fine(list), fine(end)})
	o.assertAtLeast("sessions on the list of one user with "+s.name, float64(listed), float64(n))
	o.assertAtMost("sessions on the list after ending all with "+s.name, float64(left), 0)
	o.assertAtMost(fmt.Sprintf("median of a login of this user with %s, in those of others", s.name),
		float64(quantile(logins, 0.5))/float64(quantile(others.took[opLogin], 0.5)), e.maxGrowth)
	return nil
}

// listAll returns the number of sessions on all pages of a user's list.
func listAll(ctx context.Context, users session.UserStore, user string) (n int, err error) {
	for query := (session.PageQuery{Now: time.Now(), Limit: session.MaxPage}); ; {
		page, err := users.UserSessions(ctx, user, query)
		if err != nil {
			return n, fmt.Errorf("list the sessions of a user: %w", err)
		}
		n += len(page.Sessions)
		if query.Cursor = page.Next; query.Cursor == "" {
			return n, nil
		}
	}
}

// records makes sessions of one size.
type records struct {
	user   string // the beginning of the users' names, or the name of the only user; empty for none
	values map[string]string
}

const valueCount = 10

// userAgent is as long as a usual browser's.
const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 lab"

// newRecords returns sessions with the given session.Record.Size. Their values are random, so that no store compresses them.
func newRecords(size int, user string) records {
	r := records{user, map[string]string{}}
	left := size - len(userAgent) - len(r.userOf(0))
	for i := range valueCount {
		key := fmt.Sprintf("value-%d", i)
		length := left/(valueCount-i) - len(key) - len(`""`)
		text := rand.Text()
		for len(text) < length {
			text += rand.Text()
		}
		r.values[key] = `"` + text[:length] + `"`
		left -= len(key) + len(r.values[key])
	}
	return r
}

// userOf returns the user of session i. Each user has two sessions, unless all are of one user.
func (r records) userOf(i int) string {
	if !strings.HasSuffix(r.user, "-") {
		return r.user
	}
	return fmt.Sprintf("%s%07d", r.user, i/2)
}

// live returns session i, which doesn't end during the experiment.
func (r records) live(i int) session.Record {
	now := time.Now()
	return session.Record{Values: r.values, User: r.userOf(i), UserAgent: userAgent, Created: now,
		Expires: now.Add(24 * time.Hour), IdleExpires: now.Add(24 * time.Hour)}
}
