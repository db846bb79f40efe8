package sessiontest

import (
	"fmt"
	"net/http"
	"time"

	"stateless-servers/session"
)

// rememberCases are the cases for sessions with their own idle timeout, from the comments of session.Record and session.Update.
func rememberCases() []Case {
	return []Case{
		{Name: "an update extends by the session's own idle timeout", Run: try(verifyOwnIdleTimeout)},
		{Name: "a renewal sets the idle timeout", Run: try(verifyRenewedIdleTimeout)},
		{Name: "a session that moves keeps its idle timeout", Run: try(verifyMovedIdleTimeout)},
	}
}

// ownIdleTimeout is longer than the idle timeout of NewRecord.
const ownIdleTimeout = 40 * time.Minute

// remembered returns a session with its own idle timeout.
func remembered(user string) session.Record {
	record := NewRecord(map[string]string{"n": "1"})
	record.User, record.IdleTimeout, record.IdleExpires = user, ownIdleTimeout, record.Created.Add(ownIdleTimeout)
	return record
}

func verifyOwnIdleTimeout(t trial) {
	id, record := NewID(), remembered("ada "+NewID().String())
	check("create", t.Create(t.ctx, id, record))
	t.load(id, record.Created).isIdle("load", record.Values, ownIdleTimeout, record.IdleExpires)
	many := []session.Change{Add("n", 1)}
	for i := range 200 { // more than one expression of DynamoDB can have
		many = append(many, remove(fmt.Sprint("key ", i)))
	}
	for i, changes := range [][]session.Change{{Add("n", 1)}, nil, many} {
		now := record.Created.Add(time.Duration(i+1) * time.Minute)
		touchAfter := time.Duration(i) * 5 * time.Minute
		update := session.Update{Now: now, IdleExpires: now.Add(10 * time.Minute), TouchAfter: touchAfter, Changes: changes}
		want := now.Add(ownIdleTimeout + touchAfter)
		call, updated := fmt.Sprint("update ", i), t.update(id, update)
		values := updated.record.Values
		updated.isIdle(call, values, ownIdleTimeout, want)
		// The server would use a shorter timeout. The session must outlive that.
		t.load(id, want.Add(-time.Second)).isIdle("load after "+call, values, ownIdleTimeout, want)
	}
	if !t.Promises().ListsByUser {
		return
	}
	for _, found := range t.list("list", record.User, record.Created, 10) {
		if found.Record.IdleTimeout != ownIdleTimeout {
			fail("list: got the idle timeout %v, want %v", found.Record.IdleTimeout, ownIdleTimeout)
		}
	}
}

func verifyRenewedIdleTimeout(t trial) {
	for _, timeout := range []time.Duration{0, ownIdleTimeout} {
		id, old := NewID(), remembered("ada")
		old.IdleTimeout = ownIdleTimeout - timeout // the other of the two
		check("create", t.Create(t.ctx, id, old))
		r := t.renewal(id, old, "ada")
		r.Record.IdleTimeout, r.AllowRenewed = timeout, true
		for _, call := range []string{"renew", "renew again"} {
			t.renew(r).isIdle(call, old.Values, timeout, r.Record.IdleExpires)
		}
		second := r
		second.New = t.newIDFor(id)
		for _, r := range []session.Renewal{r, second} {
			t.renew(r).ok("renew")
			now := r.Now.Add(time.Minute)
			want := session.Update{Now: now, IdleExpires: now.Add(10 * time.Minute)}.Extend(r.Record).IdleExpires
			t.update(r.New, session.Update{Now: now, IdleExpires: now.Add(10 * time.Minute)}).isIdle("update the new session", old.Values, timeout, want)
		}
	}
}

func verifyMovedIdleTimeout(t trial) {
	id, record := NewID(), remembered("ada")
	check("create", t.Create(t.ctx, id, record))
	for _, call := range []string{"end to move", "end to move again"} {
		t.end(id, session.EndOptions{Now: record.Created, Moving: true}).isIdle(call, record.Values, ownIdleTimeout, record.IdleExpires)
	}
}

// verifyIdleTimeout uses sessions on servers whose clocks differ by session.MaxClockSkew: a login, a read some time later, and then
// none for just less than a session must live, or for more than it may.
func verifyIdleTimeout(f *fixture) {
	f.ahead[1].Store(int64(session.MaxClockSkew))
	for login, idle := range map[string]time.Duration{"/login?user=ada": 30 * time.Minute, "/login?user=ada&remember=1": 7 * 24 * time.Hour} {
		const slow = 30 * time.Second // more than the requests take, whose time passes too, and than times are rounded up
		least, most := idle-session.MaxClockSkew-slow, idle+idle/2+session.MaxClockSkew+time.Second
		for i, read := range []time.Duration{idle * 14 / 30, idle * 16 / 30, idle / 30, idle * 29 / 30} {
			for _, unused := range []time.Duration{least, most} {
				v := f.client()
				v.must(i, login)
				f.advance(read)
				v.must(i+1, "/read")
				f.advance(unused)
				got := v.must(i/2, "/read")
				if live := got.User == "ada"; live != (unused == least) {
					fail("%s, a read %v later, then unused for %v: live is %v", login, read, unused, live)
				}
			}
		}
	}
}

// verifyRemembered logs in with the option Remember, then uses and renews the session. It must keep the longer limits.
func verifyRemembered(f *fixture) {
	v := f.client()
	for server, path := range []string{"/login?user=ada&remember=1", "/read", "/visit", "/renew", "/visit", "/read"} {
		got, status, err := v.post(server, path)
		check("POST "+path, err)
		switch {
		case path == "/visit" && status == http.StatusNotImplemented: // a token can't change
			continue
		case status != http.StatusOK:
			fail("POST %s: status %d", path, status)
		case got.User != "ada" || time.Until(got.Expires) < 6*24*time.Hour:
			fail("POST %s: got user %q until %v, want ada for 7 days at least", path, got.User, got.Expires)
		}
	}
	v.must(1, "/login?user=ada")
	if got := v.must(0, "/read"); got.User != "ada" || time.Until(got.Expires) > 2*24*time.Hour {
		fail("after another login, which is not remembered: got user %q until %v, want ada for a day at most", got.User, got.Expires)
	}
}
