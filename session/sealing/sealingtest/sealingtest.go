// Package sealingtest helps to test a session.Codec. Keys returns keys for tests, and a Fleet is a number of web servers that
// share only their keys.
package sealingtest

import (
	"bytes"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest/must"
)

// Keys returns one key for each letter of names. The same letter always gives the same key.
func Keys(t testing.TB, names string) sealing.Keys {
	t.Helper()
	var words []string
	for _, name := range names {
		words = append(words, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(string(name)), 32)))
	}
	return must.Get(sealing.ParseKeys(strings.Join(words, ",")))(t)
}

// NewRecord returns a session of the user ada, with an idle timeout of half an hour and a lifetime of a day.
func NewRecord(start time.Time, values map[string]string) session.Record {
	return session.Record{
		Values: values, User: "ada", UserAgent: "Browser/1.0",
		Created: start, Expires: start.Add(24 * time.Hour), IdleExpires: start.Add(30 * time.Minute),
	}
}

// RunRotation checks which servers accept a session of another one during the deployments that replace a key. The function
// newCodec returns the codec with one key for each letter of names.
func RunRotation(t *testing.T, newCodec func(names string) session.Codec) {
	start := time.Now()
	for _, test := range []struct {
		codec, opener string
		opens         bool
	}{
		{"o", "on", true}, {"on", "o", true}, // first deployment: before and after
		{"on", "no", true}, {"no", "on", true}, // second
		{"no", "n", true}, // third
		{"o", "no", true}, // a visitor who returns after all deployments
		{"on", "n", false}, {"o", "n", false},
		{"no", "o", false}, // the wrong order, see package sealing
		{"abcdefgh", "hgfedcba", true},
	} {
		value := must.Get(newCodec(test.codec).Encode(session.ID{1}, NewRecord(start, nil)))(t)
		_, got, err := newCodec(test.opener).Decode(value, start)
		if (err == nil) != test.opens || test.opens != (got.User == "ada") || !test.opens && err != session.ErrNotFound {
			t.Errorf("encoded with %q, decoded with %q: got %q, %v", test.codec, test.opener, got.User, err)
		}
	}
}

// A Fleet is a number of web servers that share only their keys, and a client with a cookie jar.
type Fleet struct {
	t       *testing.T
	clock   atomic.Int64 // how far the servers' clocks are ahead of real time, in nanoseconds
	servers []*httptest.Server
	client  *http.Client
}

// NewFleet starts one server with the handler for each Codec. They stop when the test ends.
func NewFleet(t *testing.T, handler http.HandlerFunc, options session.Options, codecs ...session.Codec) *Fleet {
	t.Helper()
	f := &Fleet{t: t}
	start := time.Now()
	options.Now = func() time.Time { return start.Add(time.Duration(f.clock.Load())) }
	options.Logger = slog.New(slog.DiscardHandler)
	for _, codec := range codecs {
		manager := must.Get(session.NewWithCodec(codec, options))(t)
		server := httptest.NewTLSServer(manager.Handler(handler))
		t.Cleanup(server.Close)
		f.servers = append(f.servers, server)
	}
	f.client = f.servers[0].Client() // trusts the certificate that all of them have
	var err error
	if f.client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	return f
}

// Advance advances the clocks of all servers by d. The client's clock stays as it is.
func (f *Fleet) Advance(d time.Duration) { f.clock.Add(int64(d)) }

// Expect sends a GET request to a server with the client's cookies. It checks that the body of the response, or its status if
// that isn't 200, equals want. It returns the cookie that the response sets, or nil.
func (f *Fleet) Expect(server int, path, want string) *http.Cookie {
	f.t.Helper()
	return f.expect(f.client, server, path, nil, want)
}

// ExpectWith does the same as Expect with a client that has only the given cookie and stores no other.
func (f *Fleet) ExpectWith(cookie *http.Cookie, server int, path, want string) *http.Cookie {
	f.t.Helper()
	return f.expect(&http.Client{Transport: f.client.Transport}, server, path, cookie, want)
}

func (f *Fleet) expect(client *http.Client, server int, path string, cookie *http.Cookie, want string) (set *http.Cookie) {
	f.t.Helper()
	request := must.Get(http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.servers[server].URL+path, nil))(f.t)
	if cookie != nil {
		request.AddCookie(cookie)
	}
	response := must.Get(client.Do(request))(f.t)
	defer response.Body.Close()
	body := must.Get(io.ReadAll(response.Body))(f.t)
	got := string(body)
	if response.StatusCode != http.StatusOK {
		got = strconv.Itoa(response.StatusCode)
	}
	if got != want {
		f.t.Errorf("server %d: %.40s responds %q, want %q", server, path, got, want)
	}
	for _, set = range response.Cookies() {
		if len(set.Raw) > 4096 {
			f.t.Errorf("server %d: %.40s sets a cookie of %d bytes", server, path, len(set.Raw))
		}
	}
	return set
}
