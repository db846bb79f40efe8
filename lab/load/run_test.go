package load_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/lab/load"
	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/token"
)

// Requests are sent when they are due, even while earlier ones have no response.
func TestOpenModel(t *testing.T) {
	t.Parallel()
	const together = 50
	var mu sync.Mutex
	waiting, all := 0, make(chan struct{})
	app := newFleet(t, memory.New(), 1)
	front := target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/none" {
			forward(t, app.url, w, r)
			return
		}
		mu.Lock()
		if waiting++; waiting == together {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
		case <-r.Context().Done():
		}
	})
	o := options(t, front)
	o.Mix, o.Sessions, o.Duration = parsed(t, load.ParseMix, "none=1"), 1, time.Minute
	r := begin(t, o)
	go func() {
		select {
		case <-all:
			r.Finish()
		case <-t.Context().Done():
		}
	}()
	if result := do(t, r); result.Requests < together || result.OK != result.Requests {
		t.Errorf("%d of %d requests were answered", result.OK, result.Requests)
	}
}

// A target that sends a new server name with every response still makes a readable result.
func TestServerNamesAreBounded(t *testing.T) {
	sessiontest.Long(t)
	t.Parallel()
	app := newFleet(t, memory.New(), 1)
	var answers atomic.Int64
	front := target(t, func(w http.ResponseWriter, r *http.Request) {
		forward(t, app.url, renaming{w, strings.Repeat("x", 90) + strconv.FormatInt(answers.Add(1), 10)}, r)
	})
	o := options(t, front)
	o.Mix, o.Rate, o.Duration = parsed(t, load.ParseMix, "none=1"), parsed(t, load.ParseRate, "400"), 3*time.Second
	r := run(t, o)
	if r.OK != r.Requests || len(r.Servers) != 501 || r.Servers["others"] == 0 {
		t.Errorf("%d of %d requests were answered, by %d servers, others %d times", r.OK, r.Requests, len(r.Servers), r.Servers["others"])
	}
}

// renaming sets the server name of a response.
type renaming struct {
	http.ResponseWriter
	name string
}

func (r renaming) WriteHeader(status int) {
	r.Header().Set("X-Served-By", r.name)
	r.ResponseWriter.WriteHeader(status)
}

// forward passes a request on to the application.
func forward(t *testing.T, to string, w http.ResponseWriter, r *http.Request) {
	backend, err := url.Parse(to)
	if err != nil {
		t.Error(err)
		return
	}
	proxy := httputil.NewSingleHostReverseProxy(backend)
	proxy.ErrorLog = quiet
	proxy.ServeHTTP(w, r)
}

// Requests of one session overlap, at low and at high rates.
func TestRequestsOfASessionOverlap(t *testing.T) {
	t.Parallel()
	for _, rate := range []string{"20", "200"} {
		var mu sync.Mutex
		underWay, most := map[string]int{}, 0
		count := func(cookie string, n int) {
			mu.Lock()
			defer mu.Unlock()
			underWay[cookie] += n
			if cookie != "" {
				most = max(most, underWay[cookie])
			}
		}
		overlapped := func() bool {
			mu.Lock()
			defer mu.Unlock()
			return most >= 2
		}
		app := newFleet(t, memory.New(), 1)
		front := target(t, func(w http.ResponseWriter, r *http.Request) {
			cookie := r.Header.Get("Cookie")
			count(cookie, 1)
			defer count(cookie, -1)
			time.Sleep(50 * time.Millisecond) // a slow response
			forward(t, app.url, w, r)
		})
		o := options(t, front)
		o.Rate, o.Sessions = parsed(t, load.ParseRate, rate), 3
		o.Duration = time.Minute
		var r *load.Run
		o.Progress = func(load.Progress) {
			if overlapped() {
				r.Finish()
			}
		}
		r = begin(t, o)
		do(t, r)
		if !overlapped() {
			t.Errorf("at %s/s no requests of a session overlap, want at least two in flight", rate)
		}
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	f := newFleet(t, memory.New(), 3)
	o := options(t, f.url)
	o.Rate, o.Warmup, o.Duration = parsed(t, load.ParseRate, "100,200"), 500*time.Millisecond, 2*time.Second
	var r *load.Run
	var looks []load.Progress
	o.Progress = func(p load.Progress) {
		if looks = append(looks, p); len(looks) == 1 {
			r.Note("a drill")
		}
	}
	r = begin(t, o)
	result := do(t, r)
	if result.RateTarget != 150 || result.Duration != 2 || result.Requests > 300 || result.RateAchieved != float64(result.Requests)/2 {
		t.Errorf("rates: %+v", result)
	}
	answered := int64(0)
	for _, n := range result.Servers {
		answered += n
	}
	if answered != result.Requests || len(result.Servers) != 3 || result.OK != result.Requests || len(result.Errors) != 0 {
		t.Errorf("counts: %+v", result)
	}
	q := result.Latency
	if q.P50 <= 0 || q.P50 > q.P90 || q.P90 > q.P99 || q.P99 > q.P999 || q.P999 > q.Max || result.Service.Max > q.Max {
		t.Errorf("quantiles: %+v, %+v", q, result.Service)
	}
	drill := slices.IndexFunc(result.Events, func(e load.Event) bool { return e.What == "a drill" })
	if result.Sessions.Total == 0 || drill < 0 || result.Events[drill].T < looks[0].Elapsed.Seconds() {
		t.Errorf("sessions and events: %+v", result)
	}
	if len(looks) == 0 || looks[0].Total != 2500*time.Millisecond || looks[0].Phase == load.Warmup {
		t.Errorf("progress: %+v", looks)
	}
}

func happened(r load.Result, what string) bool {
	return slices.ContainsFunc(r.Events, func(e load.Event) bool { return e.What == what })
}

// An interrupted test still returns a result.
func TestInterruptionReturnsResult(t *testing.T) {
	t.Parallel()
	f := newFleet(t, memory.New(), 1)
	o := options(t, f.url)
	o.Duration = time.Hour
	ctx, interrupt := context.WithCancel(t.Context())
	var seen load.Progress
	o.Progress = func(p load.Progress) {
		if p.Requests > 0 && seen.Requests == 0 {
			seen = p
			interrupt()
		}
	}
	result, err := begin(t, o).Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !endedAfter(result, seen) || result.Sessions.Violations() > 0 {
		t.Errorf("got %+v", result)
	}
	if !happened(result, "interrupted") {
		t.Errorf("events: %v", result.Events)
	}
}

// endedAfter reports whether a test of an hour ended soon after it was seen to have sent requests. It ends when the first request that
// it doesn't send is due, which is at most 50 ms before it notices its end.
func endedAfter(r load.Result, seen load.Progress) bool {
	return r.Duration >= seen.Elapsed.Seconds()-0.05 && r.Duration < time.Hour.Seconds() && r.Requests >= seen.Requests
}

// Finish ends a test early, and the result has the shorter duration.
func TestFinishEndsEarly(t *testing.T) {
	t.Parallel()
	f := newFleet(t, memory.New(), 1)
	o := options(t, f.url)
	o.Duration = time.Hour
	var r *load.Run
	var seen load.Progress
	o.Progress = func(p load.Progress) {
		if p.Requests > 0 && seen.Requests == 0 {
			seen = p
			r.Finish()
		}
	}
	r = begin(t, o)
	result := do(t, r)
	if !endedAfter(result, seen) || result.Sessions.Violations() > 0 {
		t.Errorf("got %+v", result)
	}
	if happened(result, "interrupted") {
		t.Errorf("events: %v", result.Events)
	}
}

// When all servers are down, errors are counted by class and no violation is reported.
func TestOutageIsNoViolation(t *testing.T) {
	t.Parallel()
	f := newFleet(t, memory.New(), 1)
	kill := sync.OnceFunc(f.kill)
	result := runUntil(t, options(t, f.url), func(r load.Result) bool {
		if r.OK > 0 {
			kill()
		}
		return r.Errors["http_502"] > 0
	})
	if result.OK == 0 || result.Errors["http_502"] == 0 || result.OK+result.Errors["http_502"] != result.Requests || result.Sessions.Violations() > 0 {
		t.Errorf("got %+v", result)
	}
	if !happened(result, "errors begin: http_502") {
		t.Errorf("events: %v", result.Events)
	}
}

// A load test runs on a store that keeps no changes after login, and finds that a token can't be revoked.
func TestTokenIsAliveAfterLogout(t *testing.T) {
	t.Parallel()
	secret := make([]byte, 32)
	rand.Read(secret)
	keys, err := sealing.ParseKeys(base64.StdEncoding.EncodeToString(secret))
	if err != nil {
		t.Fatal(err)
	}
	codec, err := token.New(keys, token.Options{Issuer: "lab", Audience: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	f := startFleet(t, func(o session.Options) (*session.Manager, error) { return session.NewWithCodec(codec, o) }, 2)
	o := options(t, f.url)
	o.Mix = parsed(t, load.ParseMix, "none=1,read=8")
	if r := run(t, o); r.Sessions.Total == 0 || r.Sessions.Violations() > 0 || r.OK != r.Requests {
		t.Errorf("reading: %+v", r)
	}
	o.Mix = parsed(t, load.ParseMix, "read=8,logout=2")
	r := runUntil(t, o, func(r load.Result) bool { return r.Sessions.Violations() > 0 })
	if r.Sessions.AliveAfterLogout == 0 || r.Sessions.Violations() != r.Sessions.AliveAfterLogout {
		t.Errorf("logging out: %+v", r.Sessions)
	}
	o.Mix = parsed(t, load.ParseMix, "read=8,write=2")
	r = runUntil(t, o, func(r load.Result) bool { return r.Errors["http_501"] > 0 || r.Sessions.Violations() > 0 })
	if r.Errors["http_501"] == 0 || r.Sessions.Violations() > 0 {
		t.Errorf("writing: %+v", r)
	}
}

// The probe is repeated while the target answers 503, and while a load balancer answers for a server that has just died.
func TestProbeWaitsForTarget(t *testing.T) {
	t.Parallel()
	failures := []int{http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout}
	f := newFleet(t, memory.New(), 1)
	fleet, err := url.Parse(f.url)
	if err != nil {
		t.Fatal(err)
	}
	var logins atomic.Int64
	late := target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			if n := logins.Add(1); n <= int64(len(failures)) {
				w.WriteHeader(failures[n-1])
				return
			}
		}
		httputil.NewSingleHostReverseProxy(fleet).ServeHTTP(w, r)
	})
	if r := run(t, options(t, late)); r.OK != r.Requests || r.Requests == 0 {
		t.Errorf("got %+v", r)
	}
}

func TestRefusedTargets(t *testing.T) {
	t.Parallel()
	hello := target(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	elsewhere := target(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://shop.example"+r.URL.Path, http.StatusMovedPermanently)
	})
	missing := target(t, http.NotFound)
	down := target(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	hanging := target(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cut := target(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = quiet
	defer secure.Close()
	for _, test := range []struct{ url, want string }{
		{"http://127.0.0.1:1", "doesn't answer GET /api/session (refused); lab up starts"},
		{hello, "not as the sample application does"},
		{elsewhere, "redirects to https://shop.example/api/session: test that address"},
		{missing, "answers GET /api/session with 404 Not Found"},
		{down, "answers GET /api/session with 503 Service Unavailable, for 10s; its servers or their store"},
		{hanging, "(timeout)"},
		{cut, "(closed)"},
		{secure.URL, "(tls)"},
		{"ftp://host", "the address of an application, such as"},
		{"http://host/path", "the address of an application, such as"},
		{"host:80", "the address of an application, such as"},
	} {
		o := options(t, test.url)
		o.Timeout = 20 * time.Second // a TLS handshake is slow on a busy machine
		if test.url == hanging {
			o.Timeout = time.Second
		}
		if _, err := load.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.url, err, test.want)
		}
	}
}
