package sessiontest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"stateless-servers/session"
)

// contractCases are the cases for one caller at a time, from the comments of session.Store.
func contractCases() []Case {
	return []Case{
		{Name: "a created session can be loaded", Run: verifyRoundTrip},
		{Name: "an unknown id is not found", Run: verifyUnknown},
		{Name: "an update changes only its keys", Run: verifyUpdate},
		{Name: "unusual keys and values are kept", Run: verifyForms},
		{Name: "an integer that was set can be added to", Run: verifySetThenAdd},
		{Name: "a failed addition leaves everything as it was", Run: verifyCounter},
		{Name: "too large leaves everything as it was", Run: verifyTooLarge},
		{Name: "expiry is checked by the reader", Run: verifyExpiry},
		{Name: "an update extends, up to the absolute expiry", Run: verifyExtension},
		{Name: "an ended session stays ended", Run: verifyEnd},
		{Name: "any number of changes in one update", Run: verifyManyChanges},
		{Name: "clocks of servers differ", Run: verifyClocks},
	}
}

func verifyRoundTrip(ctx context.Context, store session.Store) error {
	id, want := newID(), newRecord(map[string]string{"a": `"x"`, "b": `{"c":[1,2]}`, "n": "7"})
	want.User, want.UserAgent = "ada", "Browser/1.0 (ünïcode)"
	want.Created = want.Created.Add(123 * time.Millisecond)
	want.Expires, want.IdleExpires = want.Expires.Add(time.Millisecond), want.IdleExpires.Add(time.Millisecond)
	if err := store.Create(ctx, id, want); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	got, err := store.Load(ctx, id, want.Created)
	if err := expectValues("load", got, err, want.Values); err != nil {
		return err
	}
	if got.User != want.User || got.UserAgent != want.UserAgent {
		return fmt.Errorf("load: got user %q, agent %q, want %q, %q", got.User, got.UserAgent, want.User, want.UserAgent)
	}
	for _, times := range [][2]time.Time{{got.Created, want.Created}, {got.Expires, want.Expires}, {got.IdleExpires, want.IdleExpires}} {
		if late := times[0].Sub(times[1]); late < 0 || late >= time.Second {
			return fmt.Errorf("load: got time %v for %v: allowed is up to a second later", times[0], times[1])
		}
	}
	if err := store.Create(ctx, id, want); err == nil {
		return fmt.Errorf("a second create of the same id succeeded")
	}
	return nil
}

func verifyUnknown(ctx context.Context, store session.Store) error {
	id, record := newID(), newRecord(nil)
	_, err := store.Load(ctx, id, record.Created)
	if err := expectError("load", err, session.ErrNotFound); err != nil {
		return err
	}
	_, err = store.Update(ctx, id, change(record, set("a", "1")))
	if err := expectError("update", err, session.ErrNotFound); err != nil {
		return err
	}
	_, err = store.End(ctx, id, session.EndOptions{Now: record.Created})
	if err := expectError("end", err, session.ErrNotFound); err != nil {
		return err
	}
	_, err = store.Load(ctx, id, record.Created)
	return expectError("load after an update", err, session.ErrNotFound)
}

func verifyUpdate(ctx context.Context, store session.Store) error {
	id, record, err := created(ctx, store, map[string]string{"kept": `"k"`, "gone": "true", "n": "5"})
	if err != nil {
		return err
	}
	want := map[string]string{"kept": `"k"`, "n": "2", "new": `"v"`, "m": "4"}
	changes := []session.Change{set("new", `"v"`), remove("gone"), remove("never there"), add("n", -3), add("m", 4)}
	got, err := store.Update(ctx, id, change(record, changes...))
	if err := expectValues("update", got, err, want); err != nil {
		return err
	}
	got, err = store.Update(ctx, id, change(record)) // a touch
	if err := expectValues("touch", got, err, want); err != nil {
		return err
	}
	got, err = store.Load(ctx, id, record.Created)
	return expectValues("load", got, err, want)
}

func verifyForms(ctx context.Context, store session.Store) error {
	values := map[string]string{}
	keys := []string{"a.b", "#k0", ":v0", "values", "ttl", "x/y", "with space", "Ключ", "\x00", `"`, "%d", "-", "0", "id", strings.Repeat("k", 128)}
	forms := []string{`""`, `"\u0000"`, `"ünïcode 🛒"`, "null", "true", "[]", "{}", "0", "-0", "007", "1e3", "1.0", "-5", "9007199254740991", "9007199254740993", "123456789012345678901234567890", "+1"}
	for i, key := range keys {
		values[key] = forms[i%len(forms)]
	}
	for i, form := range forms {
		values[fmt.Sprint("form ", i)] = form
	}
	created, record, err := created(ctx, store, values)
	if err != nil {
		return err
	}
	got, err := store.Load(ctx, created, record.Created)
	if err := expectValues("load what was created", got, err, values); err != nil {
		return err
	}
	empty := newID()
	if err := store.Create(ctx, empty, newRecord(nil)); err != nil {
		return err
	}
	var changes []session.Change
	for key, value := range values {
		changes = append(changes, set(key, value))
	}
	got, err = store.Update(ctx, empty, change(record, changes...))
	return expectValues("set them all", got, err, values)
}

func verifySetThenAdd(ctx context.Context, store session.Store) error {
	id, record, err := created(ctx, store, map[string]string{"created": "41"})
	if err != nil {
		return err
	}
	if _, err := store.Update(ctx, id, change(record, set("set", "41"))); err != nil {
		return fmt.Errorf("set: %w", err)
	}
	got, err := store.Update(ctx, id, change(record, add("created", 1), add("set", 1)))
	return expectValues("add", got, err, map[string]string{"created": "42", "set": "42"})
}

func verifyCounter(ctx context.Context, store session.Store) error {
	const most = "9007199254740991" // session.MaxCounter
	before := map[string]string{"text": `"x"`, "float": "1.5", "padded": "007", "most": most, "least": "-" + most, "n": "1"}
	id, record, err := created(ctx, store, before)
	if err != nil {
		return err
	}
	for _, bad := range []session.Change{add("text", 1), add("float", 1), add("padded", 1), add("most", 1), add("least", -1), add("n", session.MaxCounter),
		add("absent", session.MaxCounter+1), add("absent", -session.MaxCounter-1), add("absent", 1<<60), add("n", math.MinInt64)} {
		_, err := store.Update(ctx, id, change(record, set("other", "1"), add("z", 1), bad))
		if err := expectError(fmt.Sprintf("add %d to %s", bad.N, before[bad.Key]), err, session.ErrCounter); err != nil {
			return err
		}
	}
	got, err := store.Load(ctx, id, record.Created)
	if err := expectValues("load", got, err, before); err != nil {
		return err
	}
	got, err = store.Update(ctx, id, change(record, add("most", -session.MaxCounter), add("least", session.MaxCounter), add("n", -1)))
	before["most"], before["least"], before["n"] = "0", "0", "0"
	return expectValues("add up to the bounds", got, err, before)
}

func verifyTooLarge(ctx context.Context, store session.Store) error {
	half := `"` + strings.Repeat("x", store.Promises().MaxBytes*6/10) + `"`
	before := map[string]string{"a": half, "n": "1"}
	id, record, err := created(ctx, store, before)
	if err != nil {
		return err
	}
	_, err = store.Update(ctx, id, change(record, set("b", half), add("n", 1)))
	if err := expectError("grow beyond MaxBytes", err, session.ErrTooLarge); err != nil {
		return err
	}
	got, err := store.Load(ctx, id, record.Created)
	if err := expectValues("load", got, err, before); err != nil {
		return err
	}
	got, err = store.Update(ctx, id, change(record, remove("a"), set("b", half)))
	return expectValues("replace within MaxBytes", got, err, map[string]string{"b": half, "n": "1"})
}

func verifyExpiry(ctx context.Context, store session.Store) error {
	for name, expire := range map[string]func(*session.Record, time.Time){
		"absolutely": func(r *session.Record, at time.Time) { r.Expires = at },
		"by idling":  func(r *session.Record, at time.Time) { r.IdleExpires = at },
	} {
		id, record := newID(), newRecord(map[string]string{"n": "1"})
		end := record.Created.Add(5 * time.Minute)
		expire(&record, end)
		if err := store.Create(ctx, id, record); err != nil {
			return fmt.Errorf("create: %w", err)
		}
		if _, err := store.Load(ctx, id, end.Add(-time.Millisecond)); err != nil {
			return fmt.Errorf("load before it expires %s: %w", name, err)
		}
		_, err := store.Load(ctx, id, end)
		if err := expectError("load when it has expired "+name, err, session.ErrNotFound); err != nil {
			return err
		}
		late := session.Update{Now: end, IdleExpires: end.Add(time.Hour), Changes: []session.Change{add("n", 1)}}
		_, err = store.Update(ctx, id, late)
		if err := expectError("update when it has expired "+name, err, session.ErrNotFound); err != nil {
			return err
		}
		_, err = store.End(ctx, id, session.EndOptions{Now: end})
		if err := expectError("end when it has expired "+name, err, session.ErrNotFound); err != nil {
			return err
		}
	}
	return nil
}

func verifyExtension(ctx context.Context, store session.Store) error {
	id, record, err := created(ctx, store, map[string]string{"n": "1"})
	if err != nil {
		return err
	}
	at := record.Created
	for at.Before(record.Expires) {
		got, err := store.Update(ctx, id, session.Update{Now: at, IdleExpires: at.Add(20 * time.Minute)})
		if err != nil {
			return fmt.Errorf("touch after %v: %w", at.Sub(record.Created), err)
		}
		if want := at.Add(20 * time.Minute); !got.IdleExpires.Equal(want) || !got.Expires.Equal(record.Expires) {
			return fmt.Errorf("touch: got expiries %v and %v, want %v and %v", got.IdleExpires, got.Expires, want, record.Expires)
		}
		at = at.Add(15 * time.Minute)
	}
	_, err = store.Load(ctx, id, record.Expires)
	return expectError("load at the absolute expiry", err, session.ErrNotFound)
}

func verifyEnd(ctx context.Context, store session.Store) error {
	id, record, err := created(ctx, store, map[string]string{"n": "1"})
	if err != nil {
		return err
	}
	last, err := store.End(ctx, id, session.EndOptions{Now: record.Created})
	if err := expectValues("end", last, err, record.Values); err != nil {
		return err
	}
	for after, want := range map[time.Duration]error{
		0: session.ErrEnded, session.EndedFor - time.Second: session.ErrEnded, session.EndedFor + time.Second: session.ErrNotFound,
	} {
		at := record.Created.Add(after)
		_, err := store.Load(ctx, id, at)
		if err := expectError(fmt.Sprintf("load %v after the end", after), err, want); err != nil {
			return err
		}
		_, err = store.Update(ctx, id, session.Update{Now: at, IdleExpires: at.Add(time.Minute), Changes: []session.Change{set("a", "1")}})
		if err := expectError(fmt.Sprintf("update %v after the end", after), err, want); err != nil {
			return err
		}
		_, err = store.End(ctx, id, session.EndOptions{Now: at})
		if err := expectError(fmt.Sprintf("end %v after the end", after), err, want); err != nil {
			return err
		}
	}
	return nil
}

// verifyManyChanges makes more changes in one update than fit into one expression of any store.
func verifyManyChanges(ctx context.Context, store session.Store) error {
	const keys = 300
	before, want := map[string]string{"kept": `"k"`}, map[string]string{"kept": `"k"`}
	var changes []session.Change
	for i := range keys {
		name := fmt.Sprint("a name of some length, number ", i)
		before["removed "+name], before["added "+name] = `"r"`, "40"
		want["set "+name], want["added "+name], want["new "+name] = `"s"`, "42", "1"
		changes = append(changes, set("set "+name, `"s"`), remove("removed "+name), add("added "+name, 2), add("new "+name, 1))
	}
	id, record, err := created(ctx, store, before)
	if err != nil {
		return err
	}
	_, err = store.Update(ctx, id, change(record, append(changes[:len(changes):len(changes)], add("kept", 1))...))
	if err := expectError("an update of which one change fails", err, session.ErrCounter); err != nil {
		return err
	}
	got, err := store.Load(ctx, id, record.Created)
	if err := expectValues("load after it", got, err, before); err != nil {
		return err
	}
	got, err = store.Update(ctx, id, change(record, changes...))
	if err := expectValues("update", got, err, want); err != nil {
		return err
	}
	got, err = store.Load(ctx, id, record.Created)
	return expectValues("load", got, err, want)
}

// verifyClocks uses a session from servers whose clocks differ from the store's by session.MaxClockSkew in either direction.
func verifyClocks(ctx context.Context, store session.Store) error {
	for _, ahead := range []time.Duration{-session.MaxClockSkew, session.MaxClockSkew} {
		id, record := newID(), newRecord(map[string]string{"n": "1"})
		now := record.Created.Add(ahead) // by the clock of the server that creates it
		record.Created, record.IdleExpires = now, now.Add(5*time.Second)
		if err := store.Create(ctx, id, record); err != nil {
			return fmt.Errorf("create, clock %v ahead: %w", ahead, err)
		}
		if _, err := store.Load(ctx, id, now); err != nil {
			return fmt.Errorf("load by the same server, clock %v ahead: %w", ahead, err)
		}
		update := session.Update{Now: now.Add(time.Second), IdleExpires: now.Add(6 * time.Second), Changes: []session.Change{add("n", 1)}}
		got, err := store.Update(ctx, id, update)
		if err := expectValues(fmt.Sprintf("update, clock %v ahead", ahead), got, err, map[string]string{"n": "2"}); err != nil {
			return err
		}
		r, err := renewal(store, id, record, "ada")
		if err != nil {
			return err
		}
		r.Now, r.Record.IdleExpires = now.Add(2*time.Second), now.Add(7*time.Second)
		if _, err := store.Renew(ctx, r); err != nil {
			return fmt.Errorf("renew, clock %v ahead: %w", ahead, err)
		}
		if _, err := store.Load(ctx, r.New, now.Add(3*time.Second)); err != nil {
			return fmt.Errorf("load what was renewed, clock %v ahead: %w", ahead, err)
		}
		if _, err := store.End(ctx, r.New, session.EndOptions{Now: now.Add(4 * time.Second)}); err != nil {
			return fmt.Errorf("end, clock %v ahead: %w", ahead, err)
		}
		// A request that takes a minute, on a server whose clock is a minute ahead of that which ended the session.
		late := now.Add(4*time.Second + session.EndedFor - time.Second)
		for _, ended := range []session.ID{id, r.New} {
			at := late
			if ended == id {
				at = at.Add(-2 * time.Second)
			}
			_, err := store.Load(ctx, ended, at)
			if err := expectError(fmt.Sprintf("load after the end, clock %v ahead", ahead), err, session.ErrEnded); err != nil {
				return err
			}
		}
		if err := store.Create(ctx, id, record); err == nil {
			return fmt.Errorf("the id of a session that has just ended could be created again, clock %v ahead", ahead)
		}
	}
	return nil
}
