package cookie_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest/must"
)

// The session's own idle timeout is in the cookie, where servers of the version before take it for a value.
func TestOwnIdleTimeout(t *testing.T) {
	codec := must.Get(cookie.New(sealingtest.Keys(t, "a"), "session"))(t)
	now := time.Now().Truncate(time.Millisecond)
	record := session.Record{
		Values: map[string]string{"n": "7"}, User: "ada", Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour),
		IdleTimeout: 40 * time.Minute,
	}
	earlier := record
	earlier.IdleTimeout, earlier.Values = 0, map[string]string{"n": "7", "@timeout": "2400000"}
	for name, r := range map[string]session.Record{"this version": record, "the version before": earlier} {
		value, err := codec.Encode(session.ID{1}, r)
		must.Succeed(t, err)
		_, got, err := codec.Decode(value, now)
		if err != nil || got.IdleTimeout != 40*time.Minute || !maps.Equal(got.Values, record.Values) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if len(record.Values) != 1 {
		t.Error("Encode has changed the record")
	}
	record.Values = map[string]string{"n": `"` + strings.Repeat("x", codec.Promises().MaxBytes-15) + `"`}
	if _, err := codec.Encode(session.ID{1}, record); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("a session that leaves no room for its idle timeout: %v", err)
	}
	record.IdleTimeout = 0
	if _, err := codec.Encode(session.ID{1}, record); err != nil {
		t.Errorf("without its own idle timeout: %v", err)
	}
}

// Each change sets the whole cookie again. It stays persistent, and the session keeps its limits.
func TestRememberedLogin(t *testing.T) {
	codec := must.Get(cookie.New(sealingtest.Keys(t, "a"), "session"))(t)
	f := sealingtest.NewFleet(t, serve, session.Options{BrowserCookie: true}, codec, codec)
	if set := f.Expect(0, "/login?user=ada", "ada 0"); set.MaxAge != 0 {
		t.Errorf("a login that is not remembered sets the cookie %v", set)
	}
	const day = 86400
	for i, path := range []string{"/login?user=ada&remember=1", "/visit", "/renew", "/", "/visit"} {
		set := f.Expect(i%2, path, []string{"ada 0", "ada 1", "ada 1", "ada 1", "ada 2"}[i])
		if want := (30 - 6*i) * day; set == nil || set.MaxAge != want {
			t.Errorf("%s: got the cookie %v, want Max-Age=%d", path, set, want)
		}
		f.Advance(6 * day * time.Second) // less than the idle timeout of a week
	}
	f.Advance(time.Second)
	f.Expect(1, "/", " 0") // after 30 days
	f.Expect(0, "/login?user=ada&remember=1", "ada 0")
	f.Advance(11 * day * time.Second)
	f.Expect(1, "/", " 0")
}
