package sessiontest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"stateless-servers/session"
)

// promiseCases are the cases for overlapping calls, from the comments of session.Promises.
func promiseCases() []Case {
	noLostUpdate := func(p session.Promises) bool { return p.NoLostUpdate }
	final := func(p session.Promises) bool { return p.LogoutIsFinal }
	return []Case{
		{Name: "every addition counts", Promised: noLostUpdate, Run: try(verifyAdditions)},
		{Name: "changes of different keys all survive", Promised: noLostUpdate, Run: try(verifyDifferentKeys)},
		{Name: "no update is applied after the end", Promised: final, Run: try(verifyEndRace)},
		{Name: "only one of several ends succeeds", Promised: final, Run: try(verifyEndOnce)},
	}
}

// concurrently calls f once for each i from 0 to n-1, from several goroutines, and returns the errors joined.
func concurrently(n, goroutines int, f func(i int) error) error {
	var next atomic.Int64
	errs := make(chan error, goroutines)
	for range goroutines {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					errs <- nil
					return
				}
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	var all error
	for range goroutines {
		all = errors.Join(all, <-errs)
	}
	return all
}

// race calls end while five goroutines each add 1 to n five times, or until the session has ended. It returns the number of
// acknowledged additions.
func (t trial) race(id session.ID, record session.Record, end func() error) string {
	var acknowledged atomic.Int64
	check("end and update", concurrently(6, 6, func(i int) error {
		if i == 3 {
			return end()
		}
		for range 5 {
			if _, err := t.Update(t.ctx, id, Change(record, Add("n", 1))); errors.Is(err, session.ErrEnded) {
				return nil
			} else if err != nil {
				return err
			}
			acknowledged.Add(1)
		}
		return nil
	}))
	return strconv.FormatInt(acknowledged.Load(), 10)
}

// winners calls f n times concurrently, and returns the number of calls that succeeded. The others must fail with the error lost.
func winners(n int, lost error, f func(i int) error) int64 {
	var won atomic.Int64
	check("concurrently", concurrently(n, n, func(i int) error {
		err := f(i)
		if err == nil {
			won.Add(1)
		}
		if errors.Is(err, lost) {
			return nil
		}
		return err
	}))
	return won.Load()
}

func verifyAdditions(t trial) {
	const updates = 200
	id, record := t.created(nil)
	var mu sync.Mutex
	sums := map[string]bool{}
	check("update", concurrently(updates, 8, func(int) error {
		got, err := t.Update(t.ctx, id, Change(record, Add("n", 1)))
		mu.Lock()
		defer mu.Unlock()
		sums[got.Values["n"]] = true
		return err
	}))
	if len(sums) != updates {
		fail("%d additions of 1 returned %d different sums", updates, len(sums))
	}
	t.load(id, record.Created).has("load", map[string]string{"n": strconv.Itoa(updates)})
}

func verifyDifferentKeys(t trial) {
	const updates = 100
	id, record := t.created(nil)
	want := map[string]string{}
	for i := range updates {
		want[fmt.Sprint("key", i)] = strconv.Itoa(i)
	}
	check("update", concurrently(updates, 8, func(i int) error {
		_, err := t.Update(t.ctx, id, Change(record, Set(fmt.Sprint("key", i), strconv.Itoa(i))))
		return err
	}))
	t.load(id, record.Created).has("load", want)
}

// verifyEndRace ends sessions while other calls update them. End must return every acknowledged update, and no update may succeed
// after it.
func verifyEndRace(t trial) {
	for range 20 {
		id, record := t.created(map[string]string{"n": "0"})
		var last session.Record
		acknowledged := t.race(id, record, func() (err error) {
			last, err = t.End(t.ctx, id, session.EndOptions{Now: record.Created})
			return err
		})
		if got := last.Values["n"]; got != acknowledged {
			fail("%s updates were acknowledged, the session ended with %s", acknowledged, got)
		}
		if t.Promises().ReadYourWrites {
			t.load(id, record.Created).fails("load after the end", session.ErrEnded)
		}
	}
}

func verifyEndOnce(t trial) {
	id, record := t.created(nil)
	ends := winners(8, session.ErrEnded, func(int) error {
		_, err := t.End(t.ctx, id, session.EndOptions{Now: record.Created})
		return err
	})
	if ends != 1 {
		fail("%d of 8 ends were told that they ended the session, want 1", ends)
	}
}
