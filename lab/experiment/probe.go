package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// probeTimeout is how long a probe waits: much longer than storeTimeout, after which a server gives up on its store, because
// the machine may be busy with something else.
const probeTimeout = 30 * time.Second

// browser is one visitor, who sends requests one by one.
type browser struct {
	url     string
	client  *http.Client
	cookies map[string]string
}

func newBrowser(url string) *browser {
	transport := &http.Transport{DisableKeepAlives: true} // what is in a dead connection is no concern of the next request
	return &browser{url, &http.Client{Timeout: probeTimeout, Transport: transport}, map[string]string{}}
}

// reply is what a browser was answered.
type reply struct {
	status     int   // 0 for no answer
	err        error // why there is no answer
	server     string
	retryAfter string
	took       time.Duration
	body       []byte
}

// do sends a request, with the form if there is one, and keeps the cookies that it gets. If there is no answer, the reply
// has a status of 0 and says why.
func (b *browser) do(ctx context.Context, method, path string, form url.Values) reply {
	request, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{err: err}
	}
	request.Header.Set("Accept", "application/json")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if len(b.cookies) > 0 {
		request.Header.Set("Cookie", b.header())
	}
	sent := time.Now()
	response, err := b.client.Do(request)
	if err != nil {
		return reply{err: err, took: time.Since(sent)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{err: err, took: time.Since(sent)}
	}
	for _, cookie := range response.Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		} else {
			b.cookies[cookie.Name] = cookie.Value
		}
	}
	return reply{
		status: response.StatusCode, server: response.Header.Get("X-Served-By"), retryAfter: response.Header.Get("Retry-After"),
		took: time.Since(sent), body: body,
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

// header is what the browser sends as Cookie.
func (b *browser) header() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		pairs = append(pairs, name+"="+b.cookies[name])
	}
	return strings.Join(pairs, "; ")
}

// copy is another browser with the same cookies, such as a thief's.
func (b *browser) copy() *browser {
	other := newBrowser(b.url)
	other.cookies = maps.Clone(b.cookies)
	return other
}

// state is of GET /api/session and POST /api/visits what experiments look at.
type state struct {
	User   string `json:"user"`
	Visits int64  `json:"visits"`
}

func (r reply) state() (s state) {
	_ = json.Unmarshal(r.body, &s) // what isn't a state has nothing of one
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
