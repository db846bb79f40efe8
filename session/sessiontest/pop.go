package sessiontest

import (
	"errors"
	"fmt"

	"stateless-servers/session"
)

// popCases are the cases for conditional removals, from the comments of session.OpRemove and Key.Pop.
func popCases() []Case {
	return []Case{
		{Name: "a conditional removal", Run: try(verifyRemoveIf)},
		{
			Name:     "only one of several conditional removals succeeds",
			Promised: func(p session.Promises) bool { return p.NoLostUpdate }, Run: try(verifyRemoveIfOnce),
		},
	}
}

func removeIf(key, value string) session.Change {
	return session.Change{Op: session.OpRemove, Key: key, Value: value}
}

func verifyRemoveIf(t trial) {
	before := map[string]string{"text": `"x"`, "n": "7", "odd": "007", "\x00": "[]", "kept": "1"}
	id, record := t.created(before)
	for _, bad := range []session.Change{removeIf("text", `"y"`), removeIf("n", "8"), removeIf("n", `"7"`), removeIf("odd", "7"), removeIf("absent", "1")} {
		call := fmt.Sprintf("remove %s if it is %s", bad.Key, bad.Value)
		t.update(id, Change(record, Set("other", "1"), Add("kept", 1), bad)).fails(call, session.ErrChanged)
	}
	t.load(id, record.Created).has("load", before)
	all := []session.Change{removeIf("text", `"x"`), removeIf("n", "7"), removeIf("odd", "007"), removeIf("\x00", "[]"), Set("other", "2")}
	t.update(id, Change(record, all...)).has("remove all", map[string]string{"kept": "1", "other": "2"})
	t.update(id, Change(record, removeIf("text", `"x"`))).fails("remove again", session.ErrChanged)
	t.update(id, Change(record, removeIf("kept", "1"), Add("other", session.MaxCounter))).fails("remove, and add too much", session.ErrCounter)
	many := []session.Change{removeIf("kept", "2")}
	for i := range 200 { // more than one expression of DynamoDB can have
		many = append(many, Set(fmt.Sprint("key ", i), "1"))
	}
	t.update(id, Change(record, many...)).fails("remove among many changes", session.ErrChanged)
	t.end(id, session.EndOptions{Now: record.Created}).ok("end")
	t.update(id, Change(record, removeIf("kept", "1"))).fails("remove after the end", session.ErrEnded)
}

// verifyRemoveIfOnce removes a value from several goroutines, which each have read it. Only one may succeed.
func verifyRemoveIfOnce(t trial) {
	for range 20 {
		id, record := t.created(map[string]string{"flash": `"saved"`})
		removed := winners(8, session.ErrChanged, func(int) error {
			_, err := t.Update(t.ctx, id, Change(record, removeIf("flash", `"saved"`), Add("n", 1)))
			return err
		})
		if removed != 1 {
			fail("%d of 8 removals were told that they removed the value, want 1", removed)
		}
		t.load(id, record.Created).has("load", map[string]string{"n": "1"})
	}
}

// verifyPop pops one message in two tabs on two servers, which have both read it before either removes it.
func verifyPop(f *fixture) {
	v := f.client()
	for _, path := range []string{"/visit", "/flash?text=saved"} {
		v.must(0, path)
	}
	for server := range 2 {
		if got := v.must(server, "/read"); got.Visits != 1 {
			fail("server %d: got %+v, want 1 visit", server, got)
		}
	}
	const tabs = 2
	var got [tabs]state
	done := make(chan error, tabs)
	for i := range tabs {
		tab := v.clone()
		go func() {
			var err error
			got[i], err = tab.send(i, "/held/pop")
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
	check("two tabs", err)
	for range tabs {
		check("a tab", <-done)
	}
	if (got[0].Flash == "") == (got[1].Flash == "") {
		fail("two tabs popped %q and %q, want the message in one of them", got[0].Flash, got[1].Flash)
	}
}
