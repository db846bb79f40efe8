package valkey

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// A before is a server of the version without Renew, which runs together with newer ones during a deployment. Its scripts are in
// testdata/before.
type before struct {
	t      *testing.T
	store  *Store
	client client.Client
}

func newBefore(t *testing.T) before {
	store := New(Options{Address: storeserver.ForTest(t, storeserver.Valkey).Addr})
	t.Cleanup(store.Close)
	c := must.Get(store.Client(t.Context()))(t)
	return before{t, store, c}
}

func (b before) run(script, key string, args ...string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "before", script))
	must.Succeed(b.t, err)
	reply, err := client.NewLuaScript(string(text)).Exec(b.t.Context(), b.client, []string{key}, args).ToString()
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return reply
}

func (b before) create(id session.ID, r session.Record) {
	args := appendMeta([]string{millis(earlier(r.Expires, r.IdleExpires))}, r)
	for key, value := range r.Values {
		args = append(args, key, value)
	}
	b.run("create.lua", b.store.key(id), args...)
	if r.User != "" {
		b.run("remember.lua", b.store.userKey(r.User), millis(r.Created), millis(r.Expires), id.String())
	}
}

// replies returns the results of Load, Update and End for a session.
func (b before) replies(id session.ID, now time.Time) [3]string {
	fields := must.Get(b.client.Do(b.t.Context(), b.client.B().Hgetall().Key(b.store.key(id)).Build()).AsStrMap())(b.t)
	load := "missing"
	if ended, ok := fields["@ended"]; ok { // the earlier version checked no other field then
		if until, err := strconv.ParseInt(ended, 10, 64); err != nil || now.Before(time.UnixMilli(until)) {
			load = "ended"
		}
	} else if len(fields) > 0 {
		load = "live"
	}
	return [3]string{
		load,
		b.run("update.lua", b.store.key(id), millis(now), millis(now.Add(time.Hour)), "400000", "add", "n", "1"),
		b.run("end.lua", b.store.key(id), millis(now), millis(now.Add(2*time.Minute))),
	}
}

func anySession() (session.ID, session.Record) {
	now := time.Now().Truncate(time.Millisecond)
	id := sessiontest.NewID()
	return id, session.Record{
		Values: map[string]string{"n": "7", "a": `"x"`}, User: "ada " + id.String(), UserAgent: "Browser/1.0",
		Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(10 * time.Minute),
	}
}

func renewed(old session.ID, r session.Record) session.Renewal {
	r.Values = nil
	return session.Renewal{Old: old, New: sessiontest.NewID(), Now: r.Created, Record: r}
}

// Servers of the earlier version neither show nor change the state that a tombstone keeps.
func TestKeptStateIsHiddenFromTheEarlierVersion(t *testing.T) {
	b := newBefore(t)
	for name, end := range map[string]func(session.ID, session.Record) error{
		"renewed": func(id session.ID, r session.Record) error {
			_, err := b.store.Renew(t.Context(), renewed(id, r))
			return err
		},
		"moving": func(id session.ID, r session.Record) error {
			_, err := b.store.End(t.Context(), id, session.EndOptions{Now: r.Created, Moving: true})
			return err
		},
		"ended": func(id session.ID, r session.Record) error {
			_, err := b.store.End(t.Context(), id, session.EndOptions{Now: r.Created})
			return err
		},
	} {
		id, record := anySession()
		must.Succeed(t, b.store.Create(t.Context(), id, record))
		if err := end(id, record); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for after, want := range map[time.Duration]string{
			-time.Hour: "ended", 0: "ended", session.EndedFor - time.Second: "ended", session.EndedFor: "missing", 5 * time.Minute: "missing",
		} {
			if got := b.replies(id, record.Created.Add(after)); got != [3]string{want, want, want} {
				t.Errorf("%s, %v later: got %v, want %s of each", name, after, got, want)
			}
		}
	}
}

// Sessions of the earlier version stay usable.
func TestSessionsOfTheEarlierVersion(t *testing.T) {
	b := newBefore(t)
	ctx := t.Context()
	id, record := anySession()
	b.create(id, record)
	got, err := b.store.Update(ctx, id, session.Update{Now: record.Created, IdleExpires: record.IdleExpires,
		Changes: []session.Change{{Op: session.OpAdd, Key: "n", N: 1}}})
	if err != nil || got.Values["n"] != "8" || got.User != record.User {
		t.Fatalf("update: got %+v, %v", got, err)
	}
	renewal := renewed(id, record)
	got, err = b.store.Renew(ctx, renewal)
	if err != nil || got.Values["n"] != "8" || got.User != record.User {
		t.Fatalf("renew: got %+v, %v", got, err)
	}
	page, err := b.store.UserSessions(ctx, record.User, session.PageQuery{Now: record.Created, Limit: 10})
	if err != nil || len(page.Sessions) != 1 || page.Sessions[0].ID != renewal.New {
		t.Errorf("list: got %+v, %v, want %v", page, err, renewal.New)
	}
	// The earlier version can use and end renewed sessions.
	key := b.store.key(renewal.New)
	b.run("update.lua", key, millis(record.Created), millis(record.IdleExpires), "400000", "add", "n", "1")
	if got, err := b.store.Load(ctx, renewal.New, record.Created); err != nil || got.Values["n"] != "9" {
		t.Errorf("after an update by the earlier version: got %+v, %v", got, err)
	}
	b.run("end.lua", key, millis(record.Created), millis(record.Created.Add(session.EndedFor)))
	for after, want := range map[time.Duration]error{0: session.ErrEnded, session.EndedFor: session.ErrNotFound} {
		now := record.Created.Add(after)
		again := renewed(renewal.New, record)
		again.Now, again.AllowRenewed = now, true
		_, loadErr := b.store.Load(ctx, renewal.New, now)
		_, updateErr := b.store.Update(ctx, renewal.New, session.Update{Now: now, IdleExpires: record.IdleExpires})
		_, renewErr := b.store.Renew(ctx, again)
		_, endErr := b.store.End(ctx, renewal.New, session.EndOptions{Now: now, Moving: true})
		for call, err := range map[string]error{"load": loadErr, "update": updateErr, "renew": renewErr, "end": endErr} {
			if !errors.Is(err, want) {
				t.Errorf("%s %v after the earlier version ended it: %v, want %v", call, after, err, want)
			}
		}
	}
}

// A server of the earlier version extends a session with its own idle timeout by the server's, but doesn't lose the timeout.
func TestOwnIdleTimeoutOnTheEarlierVersion(t *testing.T) {
	b := newBefore(t)
	id, record := anySession()
	record.IdleTimeout, record.IdleExpires = 40*time.Minute, record.Created.Add(40*time.Minute)
	must.Succeed(t, b.store.Create(t.Context(), id, record))
	now := record.Created.Add(time.Minute)
	b.run("update.lua", b.store.key(id), millis(now), millis(now.Add(time.Minute)), "400000", "add", "n", "1")
	got, err := b.store.Load(t.Context(), id, now)
	if err != nil || got.IdleTimeout != record.IdleTimeout || !got.IdleExpires.Equal(now.Add(time.Minute)) || got.Values["n"] != "8" {
		t.Errorf("after an update of the earlier version: %+v, %v", got, err)
	}
	got, err = b.store.Update(t.Context(), id, session.Update{Now: now, IdleExpires: now.Add(10 * time.Minute)})
	if err != nil || !got.IdleExpires.Equal(now.Add(40*time.Minute)) {
		t.Errorf("after another update: %+v, %v", got, err)
	}
}
