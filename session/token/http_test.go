package token_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/token"
)

const role = session.Key[string]("role")

// newFleet starts a server for each element of keys. A letter stands for a key.
func newFleet(t *testing.T, keys ...string) *sealingtest.Fleet {
	t.Helper()
	var codecs []session.Codec
	for _, letters := range keys {
		options := token.Options{Issuer: "https://shop.example", Audience: "shop"}
		codec := must.Get(token.New(sealingtest.Keys(t, letters), options))(t)
		codecs = append(codecs, codec)
	}
	return sealingtest.NewFleet(t, serve, session.Options{}, codecs...)
}

// serve does what the path says and responds with the user and the role.
func serve(w http.ResponseWriter, r *http.Request) {
	ctx, s := r.Context(), session.From(r.Context())
	var err error
	switch r.URL.Path {
	case "/login":
		role.Set(ctx, r.FormValue("role"))
		err = s.Login(ctx, r.FormValue("user"), session.Remember(r.FormValue("remember") != ""))
	case "/renew":
		err = s.Renew(ctx)
	case "/logout":
		err = s.Logout(ctx)
	case "/role":
		role.Set(ctx, r.FormValue("role"))
	}
	value, _, readErr := role.Get(ctx)
	user, _ := s.User(ctx)
	if err := errors.Join(err, readErr); err != nil {
		http.Error(w, "failed", session.StatusCode(err))
		return
	}
	fmt.Fprintf(w, "%s %s", user, value)
}

func TestAnyServerHandlesAnyRequest(t *testing.T) {
	f := newFleet(t, "a", "a")
	f.Expect(0, "/", " ")
	first := f.Expect(0, "/login?user=ada&role=clerk", "ada clerk")
	if first.Name != "__Host-session" || !first.HttpOnly || !first.Secure || first.MaxAge != 86400 {
		t.Errorf("cookie %v", first)
	}
	for i := range 4 {
		if set := f.Expect(i%2, "/", "ada clerk"); set != nil {
			t.Errorf("a read sets the cookie %v, want none", set)
		}
	}
	if renewed := f.Expect(0, "/renew", "ada clerk"); renewed == nil || renewed.Value == first.Value {
		t.Errorf("renewed from %v to %v", first, renewed)
	}
	f.Expect(1, "/login?user=bob&role=owner", "bob owner")
	f.Expect(0, "/", "bob owner")
	for _, forged := range []string{first.Value[:len(first.Value)-1], first.Value + "A", "x", strings.Repeat("A", 5000)} {
		f.ExpectWith(&http.Cookie{Name: first.Name, Value: forged}, 1, "/", " ")
	}
}

func TestNothingChangesAfterLogin(t *testing.T) {
	f := newFleet(t, "a", "a")
	f.Expect(0, "/role?role=owner", "501") // a session starts only at login
	f.Expect(0, "/", " ")
	f.Expect(0, "/login?user=ada&role=clerk", "ada clerk")
	f.Expect(1, "/role?role=owner", "501")
	f.Expect(0, "/", "ada clerk")
	f.Expect(1, "/login?user=ada&role="+strings.Repeat("x", 5000), "413")
	f.Expect(0, "/", "ada clerk")
}

func TestTokenExpiresAfterTheLifetime(t *testing.T) {
	f := newFleet(t, "a", "a")
	set := f.Expect(0, "/login?user=ada&role=clerk", "ada clerk")
	f.Advance(23 * time.Hour) // long past the idle timeout
	f.Expect(1, "/", "ada clerk")
	f.Advance(time.Hour + time.Second) // times are rounded up to the second
	f.ExpectWith(set, 1, "/", " ")
}

func TestKeyRotationKeepsSessions(t *testing.T) {
	// The servers of the rolling deployments in the order that package sealing describes.
	f := newFleet(t, "o", "on", "no", "n")
	f.Expect(0, "/login?user=ada&role=clerk", "ada clerk")
	f.Expect(1, "/", "ada clerk")
	f.Expect(2, "/", "ada clerk")
	f.Expect(3, "/", " ") // too early: tokens of the old key have not expired
	f.Expect(2, "/login?user=ada&role=clerk", "ada clerk")
	f.Expect(1, "/", "ada clerk")
	f.Expect(3, "/", "ada clerk")
	f.Expect(0, "/", " ") // this server doesn't have the new key
}

// TestLimitations demonstrates the limits that the package comment lists.
func TestLimitations(t *testing.T) {
	f := newFleet(t, "a", "a")
	set := f.Expect(0, "/login?user=ada&role=clerk", "ada clerk")
	f.Expect(1, "/logout", " ")
	f.Expect(0, "/", " ")
	f.ExpectWith(set, 1, "/", "ada clerk") // a copy of the token
}

func TestRememberedLogin(t *testing.T) {
	const day = 24 * time.Hour
	codec := must.Get(token.New(sealingtest.Keys(t, "a"), token.Options{Issuer: "https://shop.example", Audience: "shop"}))(t)
	f := sealingtest.NewFleet(t, serve, session.Options{BrowserCookie: true}, codec, codec)
	if set := f.Expect(0, "/login?user=ada&role=clerk", "ada clerk"); set.MaxAge != 0 {
		t.Errorf("a login that is not remembered sets the cookie %v", set)
	}
	set := f.Expect(0, "/login?user=ada&role=clerk&remember=1", "ada clerk")
	f.Advance(10 * day)
	renewed := f.Expect(1, "/renew", "ada clerk")
	if set.MaxAge != 30*86400 || renewed.MaxAge < 20*86400 || renewed.MaxAge > 20*86400+1 { // times are rounded up to the second
		t.Errorf("cookies %v, %v", set, renewed)
	}
	f.Advance(20*day - time.Minute) // there is no idle timeout
	f.Expect(0, "/", "ada clerk")
	f.Advance(2 * time.Minute)
	f.ExpectWith(renewed, 1, "/", " ")
}

// TestServers runs the suite on servers that share only their key.
func TestServers(t *testing.T) {
	keys := sealingtest.Keys(t, "a")
	sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) {
		codec, err := token.New(keys, token.Options{Issuer: "test", Audience: "test"})
		if err != nil {
			return nil, err
		}
		return session.NewWithCodec(codec, o)
	})
}
