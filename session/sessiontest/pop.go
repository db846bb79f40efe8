package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"stateless-servers/session"
)

// popCases are the cases for conditional removals, from the comments of session.OpRemove and Key.Pop.
func popCases() []Case {
	return []Case{
		{Name: "a conditional removal", Run: verifyRemoveIf},
		{
			Name:     "only one of several conditional removals succeeds",
			Promised: func(p session.Promises) bool { return p.NoLostUpdate }, Run: verifyRemoveIfOnce,
		},
	}
}

func removeIf(key, value string) session.Change {
	return session.Change{Op: session.OpRemove, Key: key, Value: value}
}

func verifyRemoveIf(ctx context.Context, store session.Store) error {
	before := map[string]string{"text": `"x"`, "n": "7", "odd": "007", "\x00": "[]", "kept": "1"}
	id, record, err := created(ctx, store, before)
	if err != nil {
		return err
	}
	for _, bad := range []session.Change{removeIf("text", `"y"`), removeIf("n", "8"), removeIf("n", `"7"`), removeIf("odd", "7"), removeIf("absent", "1")} {
		_, err := store.Update(ctx, id, change(record, set("other", "1"), add("kept", 1), bad))
		if err := expectError(fmt.Sprintf("remove %s if it is %s", bad.Key, bad.Value), err, session.ErrChanged); err != nil {
			return err
		}
	}
	got, err := store.Load(ctx, id, record.Created)
	if err := expectValues("load", got, err, before); err != nil {
		return err
	}
	all := []session.Change{removeIf("text", `"x"`), removeIf("n", "7"), removeIf("odd", "007"), removeIf("\x00", "[]"), set("other", "2")}
	got, err = store.Update(ctx, id, change(record, all...))
	if err := expectValues("remove all", got, err, map[string]string{"kept": "1", "other": "2"}); err != nil {
		return err
	}
	_, err = store.Update(ctx, id, change(record, removeIf("text", `"x"`)))
	if err := expectError("remove again", err, session.ErrChanged); err != nil {
		return err
	}
	_, err = store.Update(ctx, id, change(record, removeIf("kept", "1"), add("other", session.MaxCounter)))
	if err := expectError("remove, and add too much", err, session.ErrCounter); err != nil {
		return err
	}
	many := []session.Change{removeIf("kept", "2")}
	for i := range 200 { // more than one expression of DynamoDB can have
		many = append(many, set(fmt.Sprint("key ", i), "1"))
	}
	_, err = store.Update(ctx, id, change(record, many...))
	if err := expectError("remove among many changes", err, session.ErrChanged); err != nil {
		return err
	}
	if _, err := store.End(ctx, id, session.EndOptions{Now: record.Created}); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	_, err = store.Update(ctx, id, change(record, removeIf("kept", "1")))
	return expectError("remove after the end", err, session.ErrEnded)
}

// verifyRemoveIfOnce removes a value from several goroutines, which each have read it. Only one may succeed.
func verifyRemoveIfOnce(ctx context.Context, store session.Store) error {
	for range 20 {
		id, record, err := created(ctx, store, map[string]string{"flash": `"saved"`})
		if err != nil {
			return err
		}
		var removed atomic.Int64
		err = concurrently(8, 8, func(int) error {
			_, err := store.Update(ctx, id, change(record, removeIf("flash", `"saved"`), add("n", 1)))
			if err == nil {
				removed.Add(1)
			}
			if errors.Is(err, session.ErrChanged) {
				return nil
			}
			return err
		})
		if err == nil && removed.Load() != 1 {
			err = fmt.Errorf("%d of 8 removals were told that they removed the value, want 1", removed.Load())
		}
		if err != nil {
			return err
		}
		got, err := store.Load(ctx, id, record.Created)
		if err := expectValues("load", got, err, map[string]string{"n": "1"}); err != nil {
			return err
		}
	}
	return nil
}

// verifyPop pops one message in two tabs on two servers, which have both read it before either removes it.
func verifyPop(ctx context.Context, f *fixture) error {
	v := f.client()
	for _, path := range []string{"/visit", "/flash?text=saved"} {
		if _, err := v.must(ctx, 0, path); err != nil {
			return err
		}
	}
	for server := range 2 {
		if got, err := v.must(ctx, server, "/read"); err != nil || got.Visits != 1 {
			return fmt.Errorf("server %d: got %+v, %v, want 1 visit", server, got, err)
		}
	}
	const tabs = 2
	var got [tabs]state
	done := make(chan error, tabs)
	for i := range tabs {
		tab := v.clone()
		go func() {
			var err error
			got[i], err = tab.must(ctx, i, "/held/pop")
			done <- err
		}()
	}
	var err error
	arrived := 0
	for arrived < tabs && err == nil {
		select {
		case <-f.arrived:
			arrived++
		case err = <-done:
			err = errors.Join(errors.New("a tab ended early"), err)
		}
	}
	close(f.release)
	if err != nil {
		return err
	}
	for range tabs {
		err = errors.Join(err, <-done)
	}
	if err == nil && (got[0].Flash == "") == (got[1].Flash == "") {
		err = fmt.Errorf("two tabs popped %q and %q, want the message in one of them", got[0].Flash, got[1].Flash)
	}
	return err
}
