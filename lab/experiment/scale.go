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
	o.set("growth", "is that of the median in medians of a ping, which doesn't depend on the number of sessions, because the machine may "+
		"be busier at one level than at another")
	o.set("deletion", "a tenth more sessions expire at the start of the same operations. Valkey deletes them by itself, Memcached's "+
		"crawler is started once a second, and so is the sweep of PostgreSQL. DynamoDB Local is not asked to")
	o.set("memory", "Valkey: used_memory; Memcached: chunks in use, with their unused ends; PostgreSQL: the table with its indexes on "+
		"disk; DynamoDB Local doesn't tell")

	columns := []string{"store", "sessions", "failed"}
	for _, op := range operations() {
		columns = append(columns, op.name+" p50", "p99")
	}
	quiet := Table{Title: "Latency, in ms", Columns: columns}
	sweeping := Table{Title: "Latency while expired sessions are deleted, in ms", Columns: append(slices.Clone(columns), "deleted")}
	taken := Table{Title: takenTitle, Columns: []string{"store", "sessions", "bytes of a session", "logged in", "bytes taken"}}
	many := Table{Title: "Operations for one user with many sessions, in ms", Columns: []string{"store", "sessions of the user",
		"first page p50", "max", "login p50", "max", "whole list", "ending all"}}
	for _, kind := range e.stores {
		if err := e.sizes(ctx, runner, kind, n/20, &taken); err != nil {
			return o, err
		}
		s, err := kind.open(ctx, runner)
		if err != nil {
			return o, err
		}
		err = e.observe(ctx, s, levels, window, &o, &quiet, &sweeping, &taken, &many)
		if err = errors.Join(err, s.Close()); err != nil {
			return o, fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	o.Tables = append(o.Tables, quiet, sweeping, taken, many)
	return o, nil
}

const takenTitle = "Bytes that a session takes, in memory or on disk"

// sizes adds what anonymous sessions of both sizes take on an empty server.
func (e scale) sizes(ctx context.Context, runner *Runner, kind scaledKind, n int, taken *Table) (err error) {
	s, err := kind.open(ctx, runner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.used == nil {
		return nil
	}
	for _, size := range []int{sessionBytes, largeBytes} {
		before, err := s.used(ctx)
		if err != nil {
			return err
		}
		filled, err := s.create(ctx, make([]session.ID, n), newRecords(size, "").live)
		if err != nil {
			return err
		}
		after, err := s.used(ctx)
		if err != nil {
			return err
		}
		taken.Rows = append(taken.Rows, []any{s.name, filled, size, "no", perSession(after-before, filled)})
	}
	return nil
}

// perSession returns the bytes per session.
func perSession(bytes int64, sessions int) int { return int(bytes) / max(1, sessions) }

// observe fills the store level by level and measures at each.
func (e scale) observe(ctx context.Context, s *scaled, levels []int, window time.Duration, o *Observation,
	quiet, sweeping, taken, many *Table,
) error {
	live := newRecords(sessionBytes, "user-")
	if complete, err := s.fillTo(ctx, minSessions, live.live); err != nil || !complete {
		return errors.Join(err, fmt.Errorf("created %d sessions in %v, want %d", len(s.ids), s.fill, minSessions))
	}
	if _, err := s.operate(ctx, s.runner.Phase); err != nil { // opens connections, and warms up the server
		return err
	}
	var first, last measured
	failed, deleted := 0, int64(0)
	for _, level := range levels {
		had, began := len(s.ids), time.Now()
		var before int64
		var err error
		if s.used != nil {
			if before, err = s.used(ctx); err != nil {
				return err
			}
		}
		complete, err := s.fillTo(ctx, level, live.live)
		if err != nil {
			return err
		}
		perSecond := float64(len(s.ids)-had) / time.Since(began).Seconds()
		if s.used != nil {
			after, err := s.used(ctx)
			if err != nil {
				return err
			}
			is := perSession(after-before, len(s.ids)-had)
			taken.Rows = append(taken.Rows, []any{s.name, len(s.ids), sessionBytes, "yes", is})
			if level == levels[len(levels)-1] {
				o.assertAtMost(fmt.Sprintf("bytes that a session of %d bytes takes with %s", sessionBytes, s.name), float64(is), maxTaken)
			}
		}
		s.report("%d sessions, %.0f per second; operating", len(s.ids), perSecond)
		if last, err = s.operate(ctx, window); err != nil {
			return err
		}
		if first.took == nil {
			first = last
		}
		quiet.Rows = append(quiet.Rows, last.row(s.name, len(s.ids)))
		failed += last.failed
		if s.deleted != nil {
			m, n, err := s.operateWhileDeleting(ctx, window, perSecond)
			if err != nil {
				return err
			}
			sweeping.Rows = append(sweeping.Rows, append(m.row(s.name, len(s.ids)), n))
			failed, deleted = failed+m.failed, deleted+n
		}
		if !complete {
			break
		}
	}
	o.assertAtMost("failed operations with "+s.name, float64(failed), 0)
	if s.deleted != nil {
		o.assertAtLeast("expired sessions deleted meanwhile by "+s.name, float64(deleted), 1)
	}
	least := levels[len(levels)-1]
	if s.unbounded {
		least = levels[0]
	}
	o.assertAtLeast("sessions in "+s.name, float64(len(s.ids)), float64(least))
	for i, op := range operations() {
		if i != opPing && len(first.took[i]) > 0 {
			o.assertAtMost(fmt.Sprintf("growth of the median of %s with %s, relative to that of a ping", op.name, s.name),
				last.inPings(i)/first.inPings(i), e.maxGrowth)
		}
	}
	if users, ok := s.Store.(session.UserStore); ok && s.lists {
		return e.observeUser(ctx, s, users, levels[0], last, o, many)
	}
	return nil
}

// observeUser gives one user many sessions, and then lists them, logs in once more, and ends all.
func (e scale) observeUser(ctx context.Context, s *scaled, users session.UserStore, n int, others measured, o *Observation, many *Table) error {
	s.report("a user with %d sessions", n)
	const user = "everywhere"
	all := newRecords(sessionBytes, user)
	began := len(s.ids)
	if complete, err := s.fillTo(ctx, began+n, all.live); err != nil || !complete {
		return errors.Join(err, ctx.Err())
	}
	mine := s.ids[began:]
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
	many.Rows = append(many.Rows, []any{s.name, n, fine(quantile(pages, 0.5)), fine(quantile(pages, 1)),
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

// userAgent is as long as that of a usual browser.
var userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36" + " lab"

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
