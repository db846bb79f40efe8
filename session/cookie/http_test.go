package cookie_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

const (
	visits = session.Counter("visits")
	note   = session.Key[string]("note")
)

// newFleet starts a server for each element of keys. A letter stands for a key.
func newFleet(t *testing.T, name string, keys ...string) *sealingtest.Fleet {
	t.Helper()
	var codecs []session.Codec
	for _, letters := range keys {
		codec := must.Get(cookie.New(sealingtest.Keys(t, letters), name))(t)
		codecs = append(codecs, codec)
	}
	return sealingtest.NewFleet(t, serve, session.Options{CookieName: name}, codecs...)
}

// serve does what the path says and responds with the user and the number of visits.
func serve(w http.ResponseWriter, r *http.Request) {
	ctx, s := r.Context(), session.From(r.Context())
	var err error
	switch r.URL.Path {
	case "/visit":
		visits.Add(ctx, 1)
	case "/login":
		err = s.Login(ctx, r.FormValue("user"), session.Remember(r.FormValue("remember") != ""))
	case "/renew":
		err = s.Renew(ctx)
	case "/logout":
		err = s.Logout(ctx)
	case "/note":
		size, _ := strconv.Atoi(r.FormValue("size"))
		note.Set(ctx, strings.Repeat("x", size))
	}
	n, readErr := visits.Get(ctx)
	user, _ := s.User(ctx)
	if err := errors.Join(err, readErr); err != nil {
		http.Error(w, "failed", session.StatusCode(err))
		return
	}
	fmt.Fprintf(w, "%s %d", user, n)
}

func TestAnyServerHandlesAnyRequest(t *testing.T) {
	f := newFleet(t, "session", "a", "a")
	if set := f.Expect(0, "/", " 0"); set != nil {
		t.Errorf("a read without a session sets the cookie %v, want none", set)
	}
	f.Expect(0, "/visit", " 1")
	before := f.Expect(1, "/visit", " 2")
	after := f.Expect(0, "/login?user=ada", "ada 2")
	if before.Name != "__Host-session" || !after.Secure || !after.HttpOnly || after.SameSite != http.SameSiteLaxMode {
		t.Errorf("cookie %v", after)
	}
	f.Expect(1, "/visit", "ada 3")
	if renewed := f.Expect(0, "/renew", "ada 3"); renewed == nil || renewed.Value == after.Value {
		t.Errorf("renewed from %v to %v", after, renewed)
	}
	f.Expect(1, "/login?user=bob", "bob 0") // without ada's values
	f.Expect(1, "/logout", " 0")
	f.Expect(0, "/", " 0")
	for _, forged := range []string{after.Value[:len(after.Value)-1], after.Value + "A", "x", strings.Repeat("A", 5000)} {
		f.ExpectWith(&http.Cookie{Name: after.Name, Value: forged}, 1, "/", " 0")
	}
}

func TestKeyRotationKeepsSessions(t *testing.T) {
	// The servers of the rolling deployments in the order that package sealing describes.
	f := newFleet(t, "session", "o", "on", "no", "n")
	f.Expect(0, "/login?user=ada", "ada 0")
	f.Expect(1, "/visit", "ada 1")
	f.Expect(2, "/visit", "ada 2")
	f.Expect(1, "/visit", "ada 3")
	f.Expect(2, "/visit", "ada 4")
	f.Expect(3, "/visit", "ada 5")
	f.Expect(0, "/", " 0") // this server has only the old key
}

func TestReadingExtends(t *testing.T) {
	f := newFleet(t, "session", "a", "a")
	f.Expect(0, "/login?user=ada", "ada 0")
	for i := range 4 { // the idle timeout is 30 minutes
		f.Advance(25 * time.Minute)
		f.Expect(i%2, "/", "ada 0")
	}
	if set := f.Expect(0, "/", "ada 0"); set != nil {
		t.Errorf("extended twice within a minute: %v, want once", set)
	}
	f.Advance(46 * time.Minute)
	f.Expect(1, "/", " 0")
}

func TestTooLargeLeavesTheOldState(t *testing.T) {
	f := newFleet(t, strings.Repeat("n", sealing.MaxName), "a", "a")
	f.Expect(0, "/login?user=ada", "ada 0")
	f.Expect(1, "/visit", "ada 1")
	for _, size := range []int{2600, 5000, 1_000_000} {
		f.Expect(0, "/note?size="+strconv.Itoa(size), "413")
	}
	f.Expect(1, "/note?size=2500", "ada 1")
	f.Expect(0, "/visit", "ada 2")
	f.Expect(0, "/visit", "ada 3")
}

// TestLimitations demonstrates the limits that the package comment lists.
func TestLimitations(t *testing.T) {
	f := newFleet(t, "session", "a", "a")
	anonymous := f.Expect(0, "/visit", " 1")
	before := f.Expect(0, "/login?user=ada", "ada 1")
	f.ExpectWith(anonymous, 1, "/", " 1") // a copy of the cookie, after login
	first := f.ExpectWith(before, 0, "/visit", "ada 2")
	last := f.ExpectWith(before, 1, "/visit", "ada 2")
	f.ExpectWith(last, 0, "/", "ada 2") // the browser keeps the cookie of the last response
	f.Expect(0, "/logout", " 0")
	f.ExpectWith(first, 1, "/", "ada 2") // a copy of the cookie, after logout
}

// TestServers runs the suite on servers that share only their key.
func TestServers(t *testing.T) {
	keys := sealingtest.Keys(t, "a")
	sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) {
		codec, err := cookie.New(keys, "session")
		if err != nil {
			return nil, err
		}
		return session.NewWithCodec(codec, o)
	})
}
