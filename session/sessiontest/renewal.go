package sessiontest

import (
	"fmt"
	"time"

	"stateless-servers/session"
)

// renewalCases are the cases from the comments of session.Renewal and session.EndOptions.
func renewalCases() []Case {
	noLostUpdate := func(p session.Promises) bool { return p.NoLostUpdate }
	final := func(p session.Promises) bool { return p.LogoutIsFinal }
	return []Case{
		{Name: "a renewal takes the values over and ends the old session", Run: try(verifyRenewal)},
		{Name: "a renewal can be repeated", Run: try(verifyRenewalRepeated)},
		{Name: "a second login with the old id keeps the values", Run: try(verifyRenewalAgain)},
		{Name: "values of one user don't reach another", Run: try(verifyRenewalUsers)},
		{Name: "only a live session can be renewed", Run: try(verifyRenewalGone)},
		{Name: "a renewal ignores a stale known state", Run: try(verifyRenewalKnown)},
		{Name: "a renewal loses no update", Promised: noLostUpdate, Run: try(verifyRenewalRace)},
		{Name: "only one of a renewal and an end succeeds", Promised: final, Run: try(verifyRenewalEnd)},
		{Name: "a session that moves is returned again", Run: try(verifyMoving)},
	}
}

// renewal returns the renewal of a session for a user. The new session starts a second after the old one.
func (t trial) renewal(old session.ID, record session.Record, user string) session.Renewal {
	now := record.Created.Add(time.Second)
	return session.Renewal{Old: old, New: t.newIDFor(old), Now: now, Record: session.Record{
		User: user, UserAgent: "sessiontest again", Created: now, Expires: now.Add(2 * time.Hour), IdleExpires: now.Add(20 * time.Minute),
	}}
}

// newIDFor returns a new id to which the session old can be renewed.
func (t trial) newIDFor(old session.ID) session.ID {
	fits := func(session.ID) bool { return true }
	if cluster, ok := t.Store.(session.ClusterStore); ok {
		found, err := cluster.SameSlot(t.ctx, old)
		check("same slot", err)
		if found != nil {
			fits = found
		}
	}
	for range 1 << 20 {
		if id := NewID(); fits(id) {
			return id
		}
	}
	fail("none of a million ids is possible for a renewal")
	return session.ID{}
}

func verifyRenewal(t trial) {
	for _, values := range []map[string]string{nil, {"a": `"x"`, "n": "7", "\x00": `"\u0000"`, "form": "-0"}} {
		id, record := t.created(values)
		r := t.renewal(id, record, "ada")
		t.renew(r).isRenewed("renew", r, values)
		t.load(r.New, r.Now).isRenewed("load the new session", r, values)
		got := t.update(r.New, Change(r.Record, Add("m", 1))).ok("update the new session")
		if got.Values["m"] != "1" {
			fail("update the new session: got %v", got.Values)
		}
		for after, want := range map[time.Duration]error{
			0: session.ErrEnded, session.EndedFor - time.Second: session.ErrEnded, session.EndedFor + time.Second: session.ErrNotFound,
		} {
			at := r.Now.Add(after)
			got := t.load(id, at).fails(fmt.Sprintf("load the old session %v later", after), want)
			if len(got.Values) > 0 || got.User != "" {
				fail("load of the old session %v later shows %+v", after, got)
			}
			update := session.Update{Now: at, IdleExpires: at.Add(time.Minute), Changes: []session.Change{Set("a", "1")}}
			t.update(id, update).fails(fmt.Sprintf("update the old session %v later", after), want)
			for _, moving := range []bool{false, true} {
				last := t.end(id, session.EndOptions{Now: at, Moving: moving}).fails(fmt.Sprintf("end the old session %v later", after), want)
				if len(last.Values) > 0 {
					fail("end of the old session %v later returned %v", after, last.Values)
				}
			}
		}
		if err := t.Create(t.ctx, id, record); err == nil {
			fail("the id of a session that was renewed a second ago could be created again")
		}
	}
}

func verifyRenewalRepeated(t trial) {
	id, record := t.created(map[string]string{"n": "7"})
	r := t.renewal(id, record, "ada")
	for i := range 3 {
		t.renew(r).isRenewed(fmt.Sprint("renew for the time ", i+1), r, record.Values)
	}
	// Changes after the first renewal survive a second one.
	t.update(r.New, Change(r.Record, Add("n", 1))).ok("update")
	t.renew(r).isRenewed("renew after an update", r, map[string]string{"n": "8"})
	t.end(r.New, session.EndOptions{Now: r.Now}).ok("end")
	t.renew(r).fails("renew after the new session has ended", session.ErrEnded)
}

func verifyRenewalAgain(t trial) {
	id, record := t.created(map[string]string{"n": "7", "a": `"x"`})
	first := t.renewal(id, record, "ada")
	t.renew(first).ok("renew")
	t.update(first.New, Change(first.Record, Set("secret", "1"))).ok("update")
	for after, want := range map[time.Duration]error{
		0: nil, session.EndedFor - time.Second: nil, session.EndedFor + time.Second: session.ErrNotFound,
	} {
		again := t.renewal(id, record, "ada")
		again.Now = first.Now.Add(after)
		if want == nil {
			t.renew(again).fails("a renewal that isn't a login, with the old id", session.ErrEnded)
		}
		again.AllowRenewed = true
		login, call := t.renew(again), fmt.Sprintf("log in again %v later", after)
		if login.fails(call, want); want == nil {
			login.isRenewed(call, again, record.Values)
		}
	}
	t.load(first.New, first.Now).isRenewed("load the first new session", first, map[string]string{"n": "7", "a": `"x"`, "secret": "1"})
}

func verifyRenewalUsers(t trial) {
	for _, test := range []struct {
		old, new string
		keep     bool
		want     bool
	}{{"", "ada", false, true}, {"ada", "ada", false, true}, {"ada", "bob", false, false}, {"ada", "bob", true, true}} {
		id, record := NewID(), NewRecord(map[string]string{"n": "7"})
		record.User = test.old
		check("create", t.Create(t.ctx, id, record))
		want := map[string]string{}
		if test.want {
			want = record.Values
		}
		for _, again := range []bool{false, true} { // first from the live session, then from its tombstone
			r := t.renewal(id, record, test.new)
			r.KeepValues, r.AllowRenewed = test.keep, again
			call := fmt.Sprintf("renew a session of %q for %q, keep %v, again %v", test.old, test.new, test.keep, again)
			t.renew(r).isRenewed(call, r, want)
			t.load(r.New, r.Now).isRenewed("load after: "+call, r, want)
		}
	}
}

func verifyRenewalGone(t trial) {
	id, record := t.created(map[string]string{"n": "7"})
	expired := t.renewal(id, record, "ada")
	expired.Now, expired.AllowRenewed = record.IdleExpires, true
	t.renew(expired).fails("renew a session that has expired", session.ErrNotFound)
	unknown := t.renewal(NewID(), record, "ada")
	unknown.AllowRenewed = true
	t.renew(unknown).fails("renew a session that nobody created", session.ErrNotFound)
	for _, moving := range []bool{false, true} {
		id, record := t.created(map[string]string{"n": "7"})
		t.end(id, session.EndOptions{Now: record.Created, Moving: moving}).ok("end")
		r := t.renewal(id, record, "ada")
		r.AllowRenewed = true
		t.renew(r).fails("renew a session that was ended", session.ErrEnded)
		t.load(r.New, r.Now).fails("load what was not renewed", session.ErrNotFound)
	}
}

// verifyRenewalKnown passes a current and a stale Renewal.Known.
func verifyRenewalKnown(t trial) {
	for _, stale := range []bool{false, true} {
		id, record := t.created(map[string]string{"n": "7", "form": "-0"})
		known := t.load(id, record.Created).ok("load")
		want := record.Values
		if stale {
			want = map[string]string{"n": "8", "form": "-0"}
			t.update(id, Change(record, Add("n", 1))).ok("update")
		}
		r := t.renewal(id, record, "ada")
		r.Known = &known
		t.renew(r).isRenewed(fmt.Sprintf("renew with a known state, out of date: %v", stale), r, want)
	}
}

// verifyRenewalRace renews sessions while other calls update them. The new session must have every acknowledged update.
func verifyRenewalRace(t trial) {
	for range 20 {
		id, record := t.created(map[string]string{"n": "0"})
		r := t.renewal(id, record, "ada")
		var renewed session.Record
		acknowledged := t.race(id, record, func() (err error) {
			renewed, err = t.Renew(t.ctx, r)
			return err
		})
		if got := renewed.Values["n"]; got != acknowledged {
			fail("%s updates were acknowledged, the session was renewed with %s", acknowledged, got)
		}
		if t.Promises().ReadYourWrites {
			t.load(r.New, r.Now).isRenewed("load", r, renewed.Values)
		}
	}
}

// verifyRenewalEnd renews and ends a session concurrently.
func verifyRenewalEnd(t trial) {
	for range 20 {
		id, record := t.created(map[string]string{"n": "0"})
		renewals := []session.Renewal{t.renewal(id, record, "ada"), t.renewal(id, record, "ada")}
		wins := winners(4, session.ErrEnded, func(i int) (err error) {
			if i%2 == 0 {
				_, err = t.End(t.ctx, id, session.EndOptions{Now: record.Created.Add(time.Second)})
			} else {
				_, err = t.Renew(t.ctx, renewals[i/2])
			}
			return err
		})
		if wins != 1 {
			fail("%d of two renewals and two ends succeeded, want 1", wins)
		}
	}
}

func verifyMoving(t trial) {
	id, record := NewID(), NewRecord(map[string]string{"n": "7", "a": `"x"`})
	record.User = "ada " + id.String()
	check("create", t.Create(t.ctx, id, record))
	if t.Promises().ReadYourWrites {
		t.load(id, record.Created).ok("load")
	}
	const kept = session.EndedFor - session.MaxClockSkew
	for _, after := range []time.Duration{0, 0, time.Second, kept - time.Second} {
		call := fmt.Sprintf("end to move, %v later", after)
		last := t.end(id, session.EndOptions{Now: record.Created.Add(after), Moving: true}).has(call, record.Values)
		if last.User != record.User || last.UserAgent != record.UserAgent || last.Expires.Before(record.Expires) || last.IdleExpires.Before(record.IdleExpires) {
			fail("%s: got %+v, want %+v", call, last, record)
		}
	}
	for after, want := range map[time.Duration]error{
		kept: session.ErrEnded, session.EndedFor - time.Second: session.ErrEnded, session.EndedFor + time.Second: session.ErrNotFound,
	} {
		t.end(id, session.EndOptions{Now: record.Created.Add(after), Moving: true}).fails(fmt.Sprintf("end to move, %v later", after), want)
	}
	t.load(id, record.Created).fails("load", session.ErrEnded)
	t.end(id, session.EndOptions{Now: record.Created}).fails("end", session.ErrEnded)
	if t.Promises().ListsByUser {
		if found := t.list("list after the end", record.User, record.Created, 10); len(found) > 0 {
			fail("the list has %d sessions after the end", len(found))
		}
	}
}
