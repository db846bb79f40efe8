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

// client is a client with cookies. Its timeout is much longer than storeTimeout, after which a server gives up on its store.
type client struct {
	*sessiontest.Client
	url string
}

func newClient(url string) *client { return &client{sessiontest.NewClient(), url} }

// response is a response to a client.
type response struct {
	status     int   // 0 without a response
	err        error // why there is no response
	server     string
	retryAfter string
	took       time.Duration
	body       string
}

// do sends a request, with the form if there is one. Without a response, the status is 0 and err is set.
func (c *client) do(ctx context.Context, method, path string, form url.Values) response {
	sent := time.Now()
	got, err := c.Do(ctx, method, c.url+path, form.Encode(), "Accept: application/json")
	if err != nil {
		return response{err: err, took: time.Since(sent)}
	}
	return response{
		status: got.StatusCode, server: got.Header.Get("X-Served-By"), retryAfter: got.Header.Get("Retry-After"),
		took: time.Since(sent), body: got.Body,
	}
}

// must is like do, but returns an error unless the status is 200.
func (c *client) must(ctx context.Context, method, path string, form url.Values) (response, error) {
	r := c.do(ctx, method, path, form)
	if r.err != nil {
		return r, r.err // which names the method and the URL
	}
	if r.status != http.StatusOK {
		return r, fmt.Errorf("%s %s: status %d %s", method, path, r.status, r.body)
	}
	return r, nil
}

// cookieBytes returns the length of the client's Cookie header.
func (c *client) cookieBytes() int {
	n := -len("; ")
	for name, value := range c.Cookies() {
		n += len(name + "=" + value + "; ")
	}
	return max(n, 0)
}

// copy returns another client with the same cookies, such as a thief's.
func (c *client) copy() *client { return &client{c.Clone(), c.url} }

// state has the fields of GET /api/session and POST /api/visits that experiments use.
type state struct {
	User   string `json:"user"`
	Visits int64  `json:"visits"`
}

func (r response) state() (s state) {
	_ = json.Unmarshal([]byte(r.body), &s) // a body of another form gives an empty state
	return s
}

// startSlowRequests sends n requests that take d each, and returns a function that waits for the responses.
func (env *environment) startSlowRequests(ctx context.Context, n int, d time.Duration) (wait func() []response) {
	responses := make(chan response, n)
	for range n {
		go func() { responses <- newClient(env.url).do(ctx, http.MethodGet, "/api/session?delay="+d.String(), nil) }()
	}
	return func() []response {
		list := make([]response, 0, n)
		for range n {
			list = append(list, <-responses)
		}
		return list
	}
}
