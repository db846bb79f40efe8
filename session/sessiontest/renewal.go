package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"stateless-servers/session"
)

// renewalCases are the cases from the comments of session.Renewal and session.EndOptions.
func renewalCases() []Case {
	noLostUpdate := func(p session.Promises) bool { return p.NoLostUpdate }
	final := func(p session.Promises) bool { return p.LogoutIsFinal }
	return []Case{
		{Name: "a renewal takes the values over and ends the old session", Run: verifyRenewal},
		{Name: "a renewal can be repeated", Run: verifyRenewalRepeated},
		{Name: "a second login with the old id keeps the values", Run: verifyRenewalAgain},
		{Name: "values of one user don't reach another", Run: verifyRenewalUsers},
		{Name: "only a live session can be renewed", Run: verifyRenewalGone},
		{Name: "a renewal ignores a stale known state", Run: verifyRenewalKnown},
		{Name: "a renewal loses no update", Promised: noLostUpdate, Run: verifyRenewalRace},
		{Name: "only one of a renewal and an end succeeds", Promised: final, Run: verifyRenewalEnd},
		{Name: "a session that moves is returned again", Run: verifyMoving},
	}
}

// renewal returns the renewal of a session for a user. The new session starts a second after the old one.
func renewal(store session.Store, old session.ID, record session.Record, user string) (session.Renewal, error) {
	now := record.Created.Add(time.Second)
	r := session.Renewal{Old: old, Now: now, Record: session.Record{
		User: user, UserAgent: "sessiontest again", Created: now, Expires: now.Add(2 * time.Hour), IdleExpires: now.Add(20 * time.Minute),
	}}
	var err error
	r.New, err = newIDFor(context.Background(), store, old)
	return r, err
}

// newIDFor returns a new id to which the session old can be renewed.
func newIDFor(ctx context.Context, store session.Store, old session.ID) (session.ID, error) {
	fits := func(session.ID) bool { return true }
	if cluster, ok := store.(session.ClusterStore); ok {
		found, err := cluster.SameSlot(ctx, old)
		if err != nil {
			return session.ID{}, fmt.Errorf("same slot: %w", err)
		}
		if found != nil {
			fits = found
		}
	}
	for range 1 << 20 {
		if id := newID(); fits(id) {
			return id, nil
		}
	}
	return session.ID{}, errors.New("none of a million ids is possible for a renewal")
}

func expectRenewed(call string, got session.Record, err error, r session.Renewal, values map[string]string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	want := r.Record
	if got.User != want.User || got.UserAgent != want.UserAgent || !maps.Equal(got.Values, values) {
		return fmt.Errorf("%s: got user %q, agent %q, values %v, want %q, %q, %v", call, got.User, got.UserAgent, got.Values,
			want.User, want.UserAgent, values)
	}
	for _, times := range [][2]time.Time{{got.Created, want.Created}, {got.Expires, want.Expires}, {got.IdleExpires, want.IdleExpires}} {
		if late := times[0].Sub(times[1]); late < 0 || late >= time.Second {
			return fmt.Errorf("%s: got time %v for %v: allowed is up to a second later", call, times[0], times[1])
		}
	}
	return nil
}

func verifyRenewal(ctx context.Context, store session.Store) error {
	for _, values := range []map[string]string{nil, {"a": `"x"`, "n": "7", "\x00": `"\u0000"`, "form": "-0"}} {
		id, record, err := created(ctx, store, values)
		if err != nil {
			return err
		}
		r, err := renewal(store, id, record, "ada")
		if err != nil {
			return err
		}
		got, err := store.Renew(ctx, r)
		if err := expectRenewed("renew", got, err, r, values); err != nil {
			return err
		}
		got, err = store.Load(ctx, r.New, r.Now)
		if err := expectRenewed("load the new session", got, err, r, values); err != nil {
			return err
		}
		got, err = store.Update(ctx, r.New, session.Update{Now: r.Now, IdleExpires: r.Record.IdleExpires, Changes: []session.Change{add("m", 1)}})
		if err != nil || got.Values["m"] != "1" {
			return fmt.Errorf("update the new session: got %v, %w", got.Values, err)
		}
		for after, want := range map[time.Duration]error{
			0: session.ErrEnded, session.EndedFor - time.Second: session.ErrEnded, session.EndedFor + time.Second: session.ErrNotFound,
		} {
			at := r.Now.Add(after)
			got, err := store.Load(ctx, id, at)
			if err := expectError(fmt.Sprintf("load the old session %v later", after), err, want); err != nil {
				return err
			}
			if len(got.Values) > 0 || got.User != "" {
				return fmt.Errorf("load of the old session %v later shows %+v", after, got)
			}
			_, err = store.Update(ctx, id, session.Update{Now: at, IdleExpires: at.Add(time.Minute), Changes: []session.Change{set("a", "1")}})
			if err := expectError(fmt.Sprintf("update the old session %v later", after), err, want); err != nil {
				return err
			}
			for _, moving := range []bool{false, true} {
				last, err := store.End(ctx, id, session.EndOptions{Now: at, Moving: moving})
				if err := expectError(fmt.Sprintf("end the old session %v later", after), err, want); err != nil {
					return err
				}
				if len(last.Values) > 0 {
					return fmt.Errorf("end of the old session %v later returned %v", after, last.Values)
				}
			}
		}
		if err := store.Create(ctx, id, record); err == nil {
			return errors.New("the id of a session that was renewed a second ago could be created again")
		}
	}
	return nil
}

func verifyRenewalRepeated(ctx context.Context, store session.Store) error {
	id, record, err := created(ctx, store, map[string]string{"n": "7"})
	if err != nil {
		return err
	}
	r, err := renewal(store, id, record, "ada")
	if err != nil {
		return err
	}
	for i := range 3 {
		got, err := store.Renew(ctx, r)
		if err := expectRenewed(fmt.Sprint("renew for the time ", i+1), got, err, r, record.Values); err != nil {
			return err
		}
	}
	// Changes after the first renewal survive a second one.
	if _, err := store.Update(ctx, r.New, session.Update{Now: r.Now, IdleExpires: r.Record.IdleExpires, Changes: []session.Change{add("n", 1)}}); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	got, err := store.Renew(ctx, r)
	if err := expectRenewed("renew after an update", got, err, r, map[string]string{"n": "8"}); err != nil {
		return err
	}
	if _, err := store.End(ctx, r.New, session.EndOptions{Now: r.Now}); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	_, err = store.Renew(ctx, r)
	return expectError("renew after the new session has ended", err, session.ErrEnded)
}

func verifyRenewalAgain(ctx context.Context, store session.Store) error {
	id, record, err := created(ctx, store, map[string]string{"n": "7", "a": `"x"`})
	if err != nil {
		return err
	}
	first, err := renewal(store, id, record, "ada")
	if err != nil {
		return err
	}
	if _, err := store.Renew(ctx, first); err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	if _, err := store.Update(ctx, first.New, session.Update{Now: first.Now, IdleExpires: first.Record.IdleExpires, Changes: []session.Change{set("secret", "1")}}); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	for after, want := range map[time.Duration]error{
		0: nil, session.EndedFor - time.Second: nil, session.EndedFor + time.Second: session.ErrNotFound,
	} {
		again, err := renewal(store, id, record, "ada")
		if err != nil {
			return err
		}
		again.Now = first.Now.Add(after)
		if want == nil {
			_, err := store.Renew(ctx, again)
			if err := expectError("a renewal that isn't a login, with the old id", err, session.ErrEnded); err != nil {
				return err
			}
		}
		again.AllowRenewed = true
		got, err := store.Renew(ctx, again)
		if want != nil {
			if err := expectError(fmt.Sprintf("log in again %v later", after), err, want); err != nil {
				return err
			}
			continue
		}
		if err := expectRenewed(fmt.Sprintf("log in again %v later", after), got, err, again, record.Values); err != nil {
			return err
		}
	}
	got, err := store.Load(ctx, first.New, first.Now)
	return expectRenewed("load the first new session", got, err, first, map[string]string{"n": "7", "a": `"x"`, "secret": "1"})
}

func verifyRenewalUsers(ctx context.Context, store session.Store) error {
	for _, test := range []struct {
		old, new string
		keep     bool
		want     bool
	}{{"", "ada", false, true}, {"ada", "ada", false, true}, {"ada", "bob", false, false}, {"ada", "bob", true, true}} {
		id, record := newID(), newRecord(map[string]string{"n": "7"})
		record.User = test.old
		if err := store.Create(ctx, id, record); err != nil {
			return fmt.Errorf("create: %w", err)
		}
		want := map[string]string{}
		if test.want {
			want = record.Values
		}
		for _, again := range []bool{false, true} { // first from the live session, then from its tombstone
			r, err := renewal(store, id, record, test.new)
			if err != nil {
				return err
			}
			r.KeepValues, r.AllowRenewed = test.keep, again
			got, err := store.Renew(ctx, r)
			call := fmt.Sprintf("renew a session of %q for %q, keep %v, again %v", test.old, test.new, test.keep, again)
			if err := expectRenewed(call, got, err, r, want); err != nil {
				return err
			}
			got, err = store.Load(ctx, r.New, r.Now)
			if err := expectRenewed("load after: "+call, got, err, r, want); err != nil {
				return err
			}
		}
	}
	return nil
}

func verifyRenewalGone(ctx context.Context, store session.Store) error {
	id, record, err := created(ctx, store, map[string]string{"n": "7"})
	if err != nil {
		return err
	}
	expired, err := renewal(store, id, record, "ada")
	if err != nil {
		return err
	}
	expired.Now, expired.AllowRenewed = record.IdleExpires, true
	_, err = store.Renew(ctx, expired)
	if err := expectError("renew a session that has expired", err, session.ErrNotFound); err != nil {
		return err
	}
	unknown, err := renewal(store, newID(), record, "ada")
	if err != nil {
		return err
	}
	unknown.AllowRenewed = true
	_, err = store.Renew(ctx, unknown)
	if err := expectError("renew a session that nobody created", err, session.ErrNotFound); err != nil {
		return err
	}
	for _, moving := range []bool{false, true} {
		id, record, err := created(ctx, store, map[string]string{"n": "7"})
		if err != nil {
			return err
		}
		if _, err := store.End(ctx, id, session.EndOptions{Now: record.Created, Moving: moving}); err != nil {
			return fmt.Errorf("end: %w", err)
		}
		r, err := renewal(store, id, record, "ada")
		if err != nil {
			return err
		}
		r.AllowRenewed = true
		_, err = store.Renew(ctx, r)
		if err := expectError("renew a session that was ended", err, session.ErrEnded); err != nil {
			return err
		}
		_, err = store.Load(ctx, r.New, r.Now)
		if err := expectError("load what was not renewed", err, session.ErrNotFound); err != nil {
			return err
		}
	}
	return nil
}

// verifyRenewalKnown passes a current and a stale Renewal.Known.
func verifyRenewalKnown(ctx context.Context, store session.Store) error {
	for _, stale := range []bool{false, true} {
		id, record, err := created(ctx, store, map[string]string{"n": "7", "form": "-0"})
		if err != nil {
			return err
		}
		known, err := store.Load(ctx, id, record.Created)
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		want := record.Values
		if stale {
			want = map[string]string{"n": "8", "form": "-0"}
			if _, err := store.Update(ctx, id, change(record, add("n", 1))); err != nil {
				return fmt.Errorf("update: %w", err)
			}
		}
		r, err := renewal(store, id, record, "ada")
		if err != nil {
			return err
		}
		r.Known = &known
		got, err := store.Renew(ctx, r)
		if err := expectRenewed(fmt.Sprintf("renew with a known state, out of date: %v", stale), got, err, r, want); err != nil {
			return err
		}
	}
	return nil
}

// verifyRenewalRace renews sessions while other calls update them. The new session must have every acknowledged update.
func verifyRenewalRace(ctx context.Context, store session.Store) error {
	for range 20 {
		id, record, err := created(ctx, store, map[string]string{"n": "0"})
		if err != nil {
			return err
		}
		r, err := renewal(store, id, record, "ada")
		if err != nil {
			return err
		}
		var acknowledged atomic.Int64
		var renewed session.Record
		err = concurrently(6, 6, func(i int) error {
			if i == 3 {
				renewed, err = store.Renew(ctx, r)
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
		if got := renewed.Values["n"]; got != strconv.FormatInt(acknowledged.Load(), 10) {
			return fmt.Errorf("%d updates were acknowledged, the session was renewed with %s", acknowledged.Load(), got)
		}
		got, err := store.Load(ctx, r.New, r.Now)
		if err := expectRenewed("load", got, err, r, renewed.Values); store.Promises().ReadYourWrites && err != nil {
			return err
		}
	}
	return nil
}

// verifyRenewalEnd renews and ends a session concurrently.
func verifyRenewalEnd(ctx context.Context, store session.Store) error {
	for range 20 {
		id, record, err := created(ctx, store, map[string]string{"n": "0"})
		if err != nil {
			return err
		}
		var wins atomic.Int64
		err = concurrently(4, 4, func(i int) error {
			var err error
			if i%2 == 0 {
				_, err = store.End(ctx, id, session.EndOptions{Now: record.Created.Add(time.Second)})
			} else {
				var r session.Renewal
				if r, err = renewal(store, id, record, "ada"); err != nil {
					return err
				}
				_, err = store.Renew(ctx, r)
			}
			if err == nil {
				wins.Add(1)
			}
			if errors.Is(err, session.ErrEnded) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if wins.Load() != 1 {
			return fmt.Errorf("%d of two renewals and two ends succeeded, want 1", wins.Load())
		}
	}
	return nil
}

func verifyMoving(ctx context.Context, store session.Store) error {
	id, record := newID(), newRecord(map[string]string{"n": "7", "a": `"x"`})
	record.User = "ada " + id.String()
	if err := store.Create(ctx, id, record); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if store.Promises().ReadYourWrites {
		if _, err := store.Load(ctx, id, record.Created); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	const kept = session.EndedFor - session.MaxClockSkew
	for _, after := range []time.Duration{0, 0, time.Second, kept - time.Second} {
		last, err := store.End(ctx, id, session.EndOptions{Now: record.Created.Add(after), Moving: true})
		if err := expectValues(fmt.Sprintf("end to move, %v later", after), last, err, record.Values); err != nil {
			return err
		}
		if last.User != record.User || last.UserAgent != record.UserAgent || last.Expires.Before(record.Expires) || last.IdleExpires.Before(record.IdleExpires) {
			return fmt.Errorf("end to move, %v later: got %+v, want %+v", after, last, record)
		}
	}
	for after, want := range map[time.Duration]error{
		kept: session.ErrEnded, session.EndedFor - time.Second: session.ErrEnded, session.EndedFor + time.Second: session.ErrNotFound,
	} {
		_, err := store.End(ctx, id, session.EndOptions{Now: record.Created.Add(after), Moving: true})
		if err := expectError(fmt.Sprintf("end to move, %v later", after), err, want); err != nil {
			return err
		}
	}
	_, err := store.Load(ctx, id, record.Created)
	if err := expectError("load", err, session.ErrEnded); err != nil {
		return err
	}
	_, err = store.End(ctx, id, session.EndOptions{Now: record.Created})
	if err := expectError("end", err, session.ErrEnded); err != nil {
		return err
	}
	if users, ok := store.(session.UserStore); ok && store.Promises().ListsByUser {
		page, err := users.UserSessions(ctx, record.User, session.PageQuery{Now: record.Created, Limit: 10})
		if err != nil || len(page.Sessions) > 0 {
			return fmt.Errorf("the list has %d sessions after the end, %w", len(page.Sessions), err)
		}
	}
	return nil
}
