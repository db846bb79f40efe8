package experiment

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	random "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"stateless-servers/session"
)

const (
	fillers     = 64          // sessions that are created concurrently
	fillTimeout = time.Minute // of a creation, while a busy machine makes many
	reportEvery = 25_000      // sessions created
)

// fillTo creates sessions until there are n, or the time is up.
func (s *scaled) fillTo(ctx context.Context, n int, record func(i int) session.Record) error {
	had := len(s.ids)
	s.ids = append(s.ids, make([]session.ID, max(0, n-had))...)
	filled, err := s.create(ctx, s.ids[had:], func(i int) session.Record { return record(had + i) })
	s.ids = s.ids[:had+filled]
	return err
}

// create creates a session for each id, which it draws, or as many as it can in the time. It returns their number.
func (s *scaled) create(ctx context.Context, ids []session.ID, record func(i int) session.Record) (int, error) {
	end := time.Now().Add(s.fill)
	var next atomic.Int64
	group, together := errgroup.WithContext(ctx)
	for range fillers {
		group.Go(func() error {
			for together.Err() == nil && time.Now().Before(end) {
				i := int(next.Add(1)) - 1
				if i >= len(ids) {
					return nil
				}
				if i > 0 && i%reportEvery == 0 {
					s.report("%d of %d sessions created", i, len(ids))
				}
				rand.Read(ids[i][:])
				err := bounded(together, fillTimeout, func(ctx context.Context) error { return s.Create(ctx, ids[i], record(i)) })
				if err != nil {
					return fmt.Errorf("create a session: %w", err)
				}
			}
			return together.Err()
		})
	}
	err := group.Wait()
	return min(int(next.Load()), len(ids)), err
}

// bounded calls f with a time limit.
func bounded(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

// operation is a kind of operation on one of the sessions.
type operation struct {
	name string
	do   func(ctx context.Context, s *scaled, i int) error
}

// Indexes in operations.
const (
	opPing  = 0
	opLogin = 3
)

// operations returns the kinds of operations. A ping takes the same time with any number of sessions: other operations are compared
// with it, because the machine may be busier at one level than at another.
func operations() []operation {
	return []operation{
		{"ping", func(ctx context.Context, s *scaled, _ int) error { return s.Ping(ctx) }},
		{"read", func(ctx context.Context, s *scaled, i int) error {
			_, err := s.Load(ctx, s.ids[i], time.Now())
			return err
		}},
		{"write", func(ctx context.Context, s *scaled, i int) error {
			now := time.Now()
			_, err := s.Update(ctx, s.ids[i], session.Update{Now: now, IdleExpires: now.Add(24 * time.Hour),
				Changes: []session.Change{{Op: session.OpSet, Key: "value-0", Value: `"` + rand.Text() + `"`}}})
			return err
		}},
		{"login", func(ctx context.Context, s *scaled, i int) error {
			return s.login(ctx, &s.ids[i], records{user: "user-"}.live(i))
		}},
		{"list", func(ctx context.Context, s *scaled, i int) error {
			user := records{user: "user-"}.userOf(i)
			page, err := s.Store.(session.UserStore).UserSessions(ctx, user, session.PageQuery{Now: time.Now(), Limit: pageEntries})
			if err == nil && len(page.Sessions)+len(page.Renewed) == 0 && page.Next == "" {
				err = errors.New("the list of a user with sessions is empty")
			}
			return err
		}},
	}
}

// login renews a session, as a login does, and sets its new id.
func (s *scaled) login(ctx context.Context, id *session.ID, record session.Record) error {
	var fresh session.ID
	rand.Read(fresh[:])
	_, err := s.Renew(ctx, session.Renewal{Old: *id, New: fresh, Now: record.Created, Record: record})
	if err == nil {
		*id = fresh
	}
	return err
}

// inPings returns the median of a kind of operations in those of a ping.
func (m measured) inPings(kind int) float64 {
	return float64(quantile(m.took[kind], 0.5)) / float64(quantile(m.took[opPing], 0.5))
}

// measured has the times of the operations by their index in operations.
type measured struct {
	took   [][]time.Duration
	failed int
}

// operate sends operations at a constant rate, whether or not earlier ones have returned. The last tenth of the sessions is for
// logins, one after another, so that no other operation uses the id that a login replaces.
func (s *scaled) operate(ctx context.Context, length time.Duration) (measured, error) {
	kinds := operations()
	if _, lists := s.Store.(session.UserStore); !lists {
		kinds = kinds[:len(kinds)-1]
	}
	perKind := int(length.Seconds() * float64(s.rate))
	m := measured{took: make([][]time.Duration, len(operations()))}
	for k := range kinds {
		m.took[k] = make([]time.Duration, perKind)
	}
	others := len(s.ids) - len(s.ids)/10
	slots := make([]sync.Mutex, max(1, len(s.ids)/10)) // a login waits for the one before of the same session
	var failed atomic.Int64
	var running sync.WaitGroup
	defer running.Wait()
	start := time.Now()
	for n := range perKind * len(kinds) {
		if err := pause(ctx, time.Until(start.Add(length*time.Duration(n)/time.Duration(perKind*len(kinds))))); err != nil {
			return m, err
		}
		k, try := n%len(kinds), n/len(kinds)
		i := random.IntN(others) // #nosec G404
		if k == opLogin {
			i = len(s.ids) - 1 - try%len(slots)
		}
		running.Go(func() {
			if k == opLogin {
				slots[try%len(slots)].Lock()
				defer slots[try%len(slots)].Unlock()
			}
			began := time.Now()
			err := bounded(ctx, storeTimeout, func(ctx context.Context) error { return kinds[k].do(ctx, s, i) })
			m.took[k][try] = time.Since(began)
			if err != nil && ctx.Err() == nil && failed.Add(1) == 1 {
				s.report("the first failed %s: %v", kinds[k].name, err)
			}
		})
	}
	running.Wait()
	m.failed = int(failed.Load())
	return m, ctx.Err()
}

// operateWhileDeleting creates a tenth more sessions that expire all at once, operates meanwhile, and returns how many the store
// has deleted by the end.
func (s *scaled) operateWhileDeleting(ctx context.Context, length time.Duration, perSecond float64) (measured, int64, error) {
	before, err := s.deleted(ctx)
	if err != nil {
		return measured{}, 0, err
	}
	n := len(s.ids) / 10
	// Creating them takes as long as before, and as much again on a busy machine.
	at := time.Now().Add(time.Second + time.Duration(2*float64(n)/perSecond*float64(time.Second)))
	expired := newRecords(sessionBytes, "")
	_, err = s.create(ctx, make([]session.ID, n), func(i int) session.Record {
		r := expired.live(i)
		r.Expires = at.Add(-s.keeps)
		return r
	})
	if err != nil {
		return measured{}, 0, err
	}
	if err := pause(ctx, time.Until(at)); err != nil {
		return measured{}, 0, err
	}
	s.report("%d sessions expire; operating", n)
	group, together := errgroup.WithContext(ctx)
	var m measured
	done := make(chan struct{})
	group.Go(func() (err error) {
		defer close(done)
		m, err = s.operate(together, length)
		return err
	})
	group.Go(func() error { return s.sweepUntil(together, done) })
	if err := group.Wait(); err != nil {
		return m, 0, err
	}
	after, err := s.deleted(ctx)
	return m, after - before, err
}

// sweepUntil has the store delete expired sessions at once and then once a second.
func (s *scaled) sweepUntil(ctx context.Context, done <-chan struct{}) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for s.sweep != nil {
		if err := s.sweep(ctx); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-done:
			return nil
		}
	}
	return nil
}

// row returns the row of a table: the store, its sessions, the failed operations, and the median and p99 of each kind in ms.
func (m measured) row(store string, sessions int) []any {
	row := []any{store, sessions, m.failed}
	for _, took := range m.took {
		if len(took) == 0 {
			row = append(row, "-", "-")
			continue
		}
		row = append(row, fine(quantile(took, 0.5)), fine(quantile(took, 0.99)))
	}
	return row
}

// fine returns a duration in ms, rounded to 10 µs.
func fine(d time.Duration) float64 { return math.Round(d.Seconds()*1e5) / 100 }

// quantile returns the least duration that at least that share of the durations doesn't exceed.
func quantile(took []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
