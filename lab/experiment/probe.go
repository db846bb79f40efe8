package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"stateless-servers/session/sessiontest"
)

// browser is one visitor of the lab. It waits much longer for an answer than storeTimeout, after which a server gives up on
// its store.
type browser struct {
	*sessiontest.Client
	url string
}

func newBrowser(url string) *browser { return &browser{sessiontest.NewClient(), url} }

// reply is what a browser was answered.
type reply struct {
	status     int   // 0 for no answer
	err        error // why there is no answer
	server     string
	retryAfter string
	took       time.Duration
	body       string
}

// do sends a request, with the form if there is one. If there is no answer, the reply has a status of 0 and says why.
func (b *browser) do(ctx context.Context, method, path string, form url.Values) reply {
	sent := time.Now()
	response, err := b.Do(ctx, method, b.url+path, form.Encode(), "Accept: application/json")
	if err != nil {
		return reply{err: err, took: time.Since(sent)}
	}
	return reply{
		status: response.StatusCode, server: response.Header.Get("X-Served-By"), retryAfter: response.Header.Get("Retry-After"),
		took: time.Since(sent), body: response.Body,
	}
}

// must is do where nothing but a 200 will do.
func (b *browser) must(ctx context.Context, method, path string, form url.Values) (reply, error) {
	r := b.do(ctx, method, path, form)
	if r.err != nil {
		return r, r.err // which names the method and the URL
	}
	if r.status != http.StatusOK {
		return r, fmt.Errorf("%s %s: status %d %s", method, path, r.status, r.body)
	}
	return r, nil
}

// size returns the length of the Cookie header that the browser sends.
func (b *browser) size() int {
	n := -len("; ")
	for name, value := range b.Cookies() {
		n += len(name + "=" + value + "; ")
	}
	return max(n, 0)
}

// copy returns another browser with the same cookies, such as a thief's.
func (b *browser) copy() *browser { return &browser{b.Clone(), b.url} }

// state is of GET /api/session and POST /api/visits what experiments look at.
type state struct {
	User   string `json:"user"`
	Visits int64  `json:"visits"`
}

func (r reply) state() (s state) {
	_ = json.Unmarshal([]byte(r.body), &s) // what isn't a state has nothing of one
	return s
}

// slow sends n requests that take d each, and returns a function that waits for their answers.
func (s *scene) slow(ctx context.Context, n int, d time.Duration) (wait func() []reply) {
	replies := make(chan reply, n)
	for range n {
		go func() { replies <- newBrowser(s.url).do(ctx, http.MethodGet, "/api/session?delay="+d.String(), nil) }()
	}
	return func() []reply {
		list := make([]reply, 0, n)
		for range n {
			list = append(list, <-replies)
		}
		return list
	}
}
