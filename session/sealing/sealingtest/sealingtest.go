// Package sealingtest is what the tests of Codecs share: keys, and servers that share nothing but keys.
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
)

// Keys returns keys in which each letter of names stands for one.
func Keys(t testing.TB, names string) sealing.Keys {
	t.Helper()
	var words []string
	for _, name := range names {
		words = append(words, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(string(name)), 32)))
	}
	keys, err := sealing.ParseKeys(strings.Join(words, ","))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// A Fleet is web servers that share nothing but keys, and a browser that goes from one to the other.
type Fleet struct {
	t       *testing.T
	passed  atomic.Int64 // nanoseconds on the clock of all servers
	servers []*httptest.Server
	browser *http.Client
}

// NewFleet starts servers of the handler, one for each Codec, until the test ends.
func NewFleet(t *testing.T, handler http.HandlerFunc, options session.Options, codecs ...session.Codec) *Fleet {
	t.Helper()
	f := &Fleet{t: t}
	start := time.Now()
	options.Now = func() time.Time { return start.Add(time.Duration(f.passed.Load())) }
	options.Logger = slog.New(slog.DiscardHandler)
	for _, codec := range codecs {
		manager, err := session.NewWithCodec(codec, options)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewTLSServer(manager.Handler(handler))
		t.Cleanup(server.Close)
		f.servers = append(f.servers, server)
	}
	f.browser = f.servers[0].Client() // trusts the certificate that all of them have
	var err error
	if f.browser.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	return f
}

// Pass lets time pass on all servers; browsers don't notice.
func (f *Fleet) Pass(d time.Duration) { f.passed.Add(int64(d)) }

// Expect asks a server in the browser, and checks the body of the answer, or its status if that isn't 200. It returns
// the cookie that the answer sets, nil for none.
func (f *Fleet) Expect(server int, path, want string) *http.Cookie {
	f.t.Helper()
	return f.expect(f.browser, server, path, nil, want)
}

// ExpectWith is Expect by somebody who has just that cookie, and keeps no other.
func (f *Fleet) ExpectWith(cookie *http.Cookie, server int, path, want string) *http.Cookie {
	f.t.Helper()
	return f.expect(&http.Client{Transport: f.browser.Transport}, server, path, cookie, want)
}

func (f *Fleet) expect(client *http.Client, server int, path string, cookie *http.Cookie, want string) (set *http.Cookie) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.servers[server].URL+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if cookie != nil {
		request.AddCookie(cookie)
	}
	response, err := client.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	got := string(body)
	if response.StatusCode != http.StatusOK {
		got = strconv.Itoa(response.StatusCode)
	}
	if got != want {
		f.t.Errorf("server %d: %.40s answers %q, want %q", server, path, got, want)
	}
	for _, set = range response.Cookies() {
		if len(set.Raw) > 4096 {
			f.t.Errorf("server %d: %.40s sets a cookie of %d bytes", server, path, len(set.Raw))
		}
	}
	return set
}
