package sessiontest

import (
	"context"
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
		{Name: "every addition counts", Promised: noLostUpdate, Run: verifyAdditions},
		{Name: "changes of different keys all survive", Promised: noLostUpdate, Run: verifyDifferentKeys},
		{Name: "no update is applied after the end", Promised: final, Run: verifyEndRace},
		{Name: "only one of several ends succeeds", Promised: final, Run: verifyEndOnce},
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

func verifyAdditions(ctx context.Context, store session.Store) error {
	const updates = 200
	id, record, err := created(ctx, store, nil)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	sums := map[string]bool{}
	err = concurrently(updates, 8, func(int) error {
		got, err := store.Update(ctx, id, change(record, add("n", 1)))
		mu.Lock()
		defer mu.Unlock()
		sums[got.Values["n"]] = true
		return err
	})
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if len(sums) != updates {
		return fmt.Errorf("%d additions of 1 returned %d different sums", updates, len(sums))
	}
	got, err := store.Load(ctx, id, record.Created)
	return expectValues("load", got, err, map[string]string{"n": strconv.Itoa(updates)})
}

func verifyDifferentKeys(ctx context.Context, store session.Store) error {
	const updates = 100
	id, record, err := created(ctx, store, nil)
	if err != nil {
		return err
	}
	want := map[string]string{}
	for i := range updates {
		want[fmt.Sprint("key", i)] = strconv.Itoa(i)
	}
	err = concurrently(updates, 8, func(i int) error {
		_, err := store.Update(ctx, id, change(record, set(fmt.Sprint("key", i), strconv.Itoa(i))))
		return err
	})
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	got, err := store.Load(ctx, id, record.Created)
	return expectValues("load", got, err, want)
}

// verifyEndRace ends sessions while other calls update them. End must return every acknowledged update, and no update may succeed
// after it.
func verifyEndRace(ctx context.Context, store session.Store) error {
	for range 20 {
		id, record, err := created(ctx, store, map[string]string{"n": "0"})
		if err != nil {
			return err
		}
		var acknowledged atomic.Int64
		var last session.Record
		err = concurrently(6, 6, func(i int) error {
			if i == 3 {
				last, err = store.End(ctx, id, session.EndOptions{Now: record.Created})
				return err
			}
			for range 5 {
				_, err := store.Update(ctx, id, change(record, add("n", 1)))
				if errors.Is(err, session.ErrEnded) {
					return nil
				}
				if err != nil {
					return err
				}
				acknowledged.Add(1)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if got := last.Values["n"]; got != strconv.FormatInt(acknowledged.Load(), 10) {
			return fmt.Errorf("%d updates were acknowledged, the session ended with %s", acknowledged.Load(), got)
		}
		if !store.Promises().ReadYourWrites {
			continue
		}
		_, err = store.Load(ctx, id, record.Created)
		if err := expectError("load after the end", err, session.ErrEnded); err != nil {
			return err
		}
	}
	return nil
}

func verifyEndOnce(ctx context.Context, store session.Store) error {
	id, record, err := created(ctx, store, nil)
	if err != nil {
		return err
	}
	var ends atomic.Int64
	err = concurrently(8, 8, func(int) error {
		_, err := store.End(ctx, id, session.EndOptions{Now: record.Created})
		if err == nil {
			ends.Add(1)
		}
		if errors.Is(err, session.ErrEnded) {
			return nil
		}
		return err
	})
	if err == nil && ends.Load() != 1 {
		err = fmt.Errorf("%d of 8 ends were told that they ended the session, want 1", ends.Load())
	}
	return err
}
