package sessiontest

import (
	"fmt"
	"math"
	"strings"
	"time"

	"stateless-servers/session"
)

// contractCases are the cases for one caller at a time, from the comments of session.Store.
func contractCases() []Case {
	return []Case{
		{Name: "a created session can be loaded", Run: try(verifyRoundTrip)},
		{Name: "an unknown id is not found", Run: try(verifyUnknown)},
		{Name: "an update changes only its keys", Run: try(verifyUpdate)},
		{Name: "unusual keys and values are kept", Run: try(verifyForms)},
		{Name: "an integer that was set can be added to", Run: try(verifySetThenAdd)},
		{Name: "a failed addition leaves everything as it was", Run: try(verifyCounter)},
		{Name: "too large leaves everything as it was", Run: try(verifyTooLarge)},
		{Name: "expiry is checked by the reader", Run: try(verifyExpiry)},
		{Name: "an update extends, up to the absolute expiry", Run: try(verifyExtension)},
		{Name: "an ended session stays ended", Run: try(verifyEnd)},
		{Name: "any number of changes in one update", Run: try(verifyManyChanges)},
		{Name: "clocks of servers differ", Run: try(verifyClocks)},
	}
}

func verifyRoundTrip(t trial) {
	id, want := NewID(), NewRecord(map[string]string{"a": `"x"`, "b": `{"c":[1,2]}`, "n": "7"})
	want.User, want.UserAgent = "ada", "Browser/1.0 (ünïcode)"
	want.Created = want.Created.Add(123 * time.Millisecond)
	want.Expires, want.IdleExpires = want.Expires.Add(time.Millisecond), want.IdleExpires.Add(time.Millisecond)
	check("create", t.Create(t.ctx, id, want))
	loaded := t.load(id, want.Created)
	if got := loaded.has("load", want.Values); got.User != want.User || got.UserAgent != want.UserAgent {
		fail("load: got user %q, agent %q, want %q, %q", got.User, got.UserAgent, want.User, want.UserAgent)
	}
	loaded.hasTimes("load", want)
	if err := t.Create(t.ctx, id, want); err == nil {
		fail("a second create of the same id succeeded")
	}
}

func verifyUnknown(t trial) {
	id, record := NewID(), NewRecord(nil)
	t.load(id, record.Created).fails("load", session.ErrNotFound)
	t.update(id, Change(record, Set("a", "1"))).fails("update", session.ErrNotFound)
	t.end(id, session.EndOptions{Now: record.Created}).fails("end", session.ErrNotFound)
	t.load(id, record.Created).fails("load after an update", session.ErrNotFound)
}

func verifyUpdate(t trial) {
	id, record := t.created(map[string]string{"kept": `"k"`, "gone": "true", "n": "5"})
	want := map[string]string{"kept": `"k"`, "n": "2", "new": `"v"`, "m": "4"}
	changes := []session.Change{Set("new", `"v"`), remove("gone"), remove("never there"), Add("n", -3), Add("m", 4)}
	t.update(id, Change(record, changes...)).has("update", want)
	t.update(id, Change(record)).has("touch", want)
	t.load(id, record.Created).has("load", want)
}

func verifyForms(t trial) {
	values := map[string]string{}
	keys := []string{"a.b", "#k0", ":v0", "values", "ttl", "x/y", "with space", "Ключ", "\x00", `"`, "%d", "-", "0", "id", strings.Repeat("k", 128)}
	forms := []string{`""`, `"\u0000"`, `"ünïcode 🛒"`, "null", "true", "[]", "{}", "0", "-0", "007", "1e3", "1.0", "-5", "9007199254740991", "9007199254740993", "123456789012345678901234567890", "+1"}
	for i, key := range keys {
		values[key] = forms[i%len(forms)]
	}
	for i, form := range forms {
		values[fmt.Sprint("form ", i)] = form
	}
	created, record := t.created(values)
	t.load(created, record.Created).has("load what was created", values)
	empty := NewID()
	check("create", t.Create(t.ctx, empty, NewRecord(nil)))
	var changes []session.Change
	for key, value := range values {
		changes = append(changes, Set(key, value))
	}
	t.update(empty, Change(record, changes...)).has("set them all", values)
}

func verifySetThenAdd(t trial) {
	id, record := t.created(map[string]string{"created": "41"})
	t.update(id, Change(record, Set("set", "41"))).ok("set")
	t.update(id, Change(record, Add("created", 1), Add("set", 1))).has("add", map[string]string{"created": "42", "set": "42"})
}

func verifyCounter(t trial) {
	const most = "9007199254740991" // session.MaxCounter
	before := map[string]string{"text": `"x"`, "float": "1.5", "padded": "007", "most": most, "least": "-" + most, "n": "1"}
	id, record := t.created(before)
	for _, bad := range []session.Change{Add("text", 1), Add("float", 1), Add("padded", 1), Add("most", 1), Add("least", -1), Add("n", session.MaxCounter),
		Add("absent", session.MaxCounter+1), Add("absent", -session.MaxCounter-1), Add("absent", 1<<60), Add("n", math.MinInt64)} {
		call := fmt.Sprintf("add %d to %s", bad.N, before[bad.Key])
		t.update(id, Change(record, Set("other", "1"), Add("z", 1), bad)).fails(call, session.ErrCounter)
	}
	t.load(id, record.Created).has("load", before)
	bounds := t.update(id, Change(record, Add("most", -session.MaxCounter), Add("least", session.MaxCounter), Add("n", -1)))
	before["most"], before["least"], before["n"] = "0", "0", "0"
	bounds.has("add up to the bounds", before)
}

func verifyTooLarge(t trial) {
	half := `"` + strings.Repeat("x", t.Promises().MaxBytes*6/10) + `"`
	before := map[string]string{"a": half, "n": "1"}
	id, record := t.created(before)
	t.update(id, Change(record, Set("b", half), Add("n", 1))).fails("grow beyond MaxBytes", session.ErrTooLarge)
	t.load(id, record.Created).has("load", before)
	t.update(id, Change(record, remove("a"), Set("b", half))).has("replace within MaxBytes", map[string]string{"b": half, "n": "1"})
}

func verifyExpiry(t trial) {
	for name, expire := range map[string]func(*session.Record, time.Time){
		"absolutely": func(r *session.Record, at time.Time) { r.Expires = at },
		"by idling":  func(r *session.Record, at time.Time) { r.IdleExpires = at },
	} {
		id, record := NewID(), NewRecord(map[string]string{"n": "1"})
		end := record.Created.Add(5 * time.Minute)
		expire(&record, end)
		check("create", t.Create(t.ctx, id, record))
		t.load(id, end.Add(-time.Millisecond)).ok("load before it expires " + name)
		t.load(id, end).fails("load when it has expired "+name, session.ErrNotFound)
		late := session.Update{Now: end, IdleExpires: end.Add(time.Hour), Changes: []session.Change{Add("n", 1)}}
		t.update(id, late).fails("update when it has expired "+name, session.ErrNotFound)
		t.end(id, session.EndOptions{Now: end}).fails("end when it has expired "+name, session.ErrNotFound)
	}
}

func verifyExtension(t trial) {
	id, record := t.created(map[string]string{"n": "1"})
	at := record.Created
	for at.Before(record.Expires) {
		got := t.update(id, session.Update{Now: at, IdleExpires: at.Add(20 * time.Minute)}).ok(fmt.Sprintf("touch after %v", at.Sub(record.Created)))
		if want := at.Add(20 * time.Minute); !got.IdleExpires.Equal(want) || !got.Expires.Equal(record.Expires) {
			fail("touch: got expiries %v and %v, want %v and %v", got.IdleExpires, got.Expires, want, record.Expires)
		}
		at = at.Add(15 * time.Minute)
	}
	t.load(id, record.Expires).fails("load at the absolute expiry", session.ErrNotFound)
}

func verifyEnd(t trial) {
	id, record := t.created(map[string]string{"n": "1"})
	t.end(id, session.EndOptions{Now: record.Created}).has("end", record.Values)
	for after, want := range map[time.Duration]error{
		0: session.ErrEnded, session.EndedFor - time.Second: session.ErrEnded, session.EndedFor + time.Second: session.ErrNotFound,
	} {
		at := record.Created.Add(after)
		t.load(id, at).fails(fmt.Sprintf("load %v after the end", after), want)
		update := session.Update{Now: at, IdleExpires: at.Add(time.Minute), Changes: []session.Change{Set("a", "1")}}
		t.update(id, update).fails(fmt.Sprintf("update %v after the end", after), want)
		t.end(id, session.EndOptions{Now: at}).fails(fmt.Sprintf("end %v after the end", after), want)
	}
}

// verifyManyChanges makes more changes in one update than fit into one expression of any store.
func verifyManyChanges(t trial) {
	const keys = 300
	before, want := map[string]string{"kept": `"k"`}, map[string]string{"kept": `"k"`}
	var changes []session.Change
	for i := range keys {
		name := fmt.Sprint("a name of some length, number ", i)
		before["removed "+name], before["added "+name] = `"r"`, "40"
		want["set "+name], want["added "+name], want["new "+name] = `"s"`, "42", "1"
		changes = append(changes, Set("set "+name, `"s"`), remove("removed "+name), Add("added "+name, 2), Add("new "+name, 1))
	}
	id, record := t.created(before)
	failing := append(changes[:len(changes):len(changes)], Add("kept", 1))
	t.update(id, Change(record, failing...)).fails("an update of which one change fails", session.ErrCounter)
	t.load(id, record.Created).has("load after it", before)
	t.update(id, Change(record, changes...)).has("update", want)
	t.load(id, record.Created).has("load", want)
}

// verifyClocks uses a session from servers whose clocks differ from the store's by session.MaxClockSkew in either direction.
func verifyClocks(t trial) {
	for _, ahead := range []time.Duration{-session.MaxClockSkew, session.MaxClockSkew} {
		id, record := NewID(), NewRecord(map[string]string{"n": "1"})
		now := record.Created.Add(ahead) // by the clock of the server that creates it
		record.Created, record.IdleExpires = now, now.Add(5*time.Second)
		check(fmt.Sprintf("create, clock %v ahead", ahead), t.Create(t.ctx, id, record))
		t.load(id, now).ok(fmt.Sprintf("load by the same server, clock %v ahead", ahead))
		update := session.Update{Now: now.Add(time.Second), IdleExpires: now.Add(6 * time.Second), Changes: []session.Change{Add("n", 1)}}
		t.update(id, update).has(fmt.Sprintf("update, clock %v ahead", ahead), map[string]string{"n": "2"})
		r := t.renewal(id, record, "ada")
		r.Now, r.Record.IdleExpires = now.Add(2*time.Second), now.Add(7*time.Second)
		t.renew(r).ok(fmt.Sprintf("renew, clock %v ahead", ahead))
		t.load(r.New, now.Add(3*time.Second)).ok(fmt.Sprintf("load what was renewed, clock %v ahead", ahead))
		t.end(r.New, session.EndOptions{Now: now.Add(4 * time.Second)}).ok(fmt.Sprintf("end, clock %v ahead", ahead))
		// A request that takes a minute, on a server whose clock is a minute ahead of that which ended the session.
		late := now.Add(4*time.Second + session.EndedFor - time.Second)
		for _, ended := range []session.ID{id, r.New} {
			at := late
			if ended == id {
				at = at.Add(-2 * time.Second)
			}
			t.load(ended, at).fails(fmt.Sprintf("load after the end, clock %v ahead", ahead), session.ErrEnded)
		}
		if err := t.Create(t.ctx, id, record); err == nil {
			fail("the id of a session that has just ended could be created again, clock %v ahead", ahead)
		}
	}
}
