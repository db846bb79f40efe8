package session_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"

	"net/http"
	"net/http/httptest"
	"net/http/httputil"

	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

// A wrapping is a handler that wraps another one, inside or outside the session middleware.
type wrapping struct {
	name string
	wrap func(t *testing.T, next http.Handler) http.Handler
}

func wrappings() []wrapping {
	return []wrapping{
		{"nothing", func(_ *testing.T, next http.Handler) http.Handler { return next }},
		{"TimeoutHandler", func(_ *testing.T, next http.Handler) http.Handler {
			return http.TimeoutHandler(next, time.Minute, "too late")
		}},
		{"TimeoutHandler that sets a cookie", func(_ *testing.T, next http.Handler) http.Handler {
			return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "other", Value: "x"})
				next.ServeHTTP(w, r)
			}), time.Minute, "too late")
		}},
		{"compression", func(_ *testing.T, next http.Handler) http.Handler { return compress(next) }},
		{"MaxBytesHandler", func(_ *testing.T, next http.Handler) http.Handler { return http.MaxBytesHandler(next, 1<<10) }},
		{"StripPrefix", func(_ *testing.T, next http.Handler) http.Handler { return http.StripPrefix("/app", next) }},
		{"a handler that sets headers and clears them", func(_ *testing.T, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Early", "1")
				w.WriteHeader(http.StatusEarlyHints)
				clear(w.Header())
				next.ServeHTTP(w, r)
			})
		}},
		{"a handler that sets headers from another goroutine", func(_ *testing.T, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var before sync.WaitGroup
				before.Go(func() { w.Header().Set("X-Concurrent", "1"); session.From(r.Context()) })
				before.Wait()
				next.ServeHTTP(w, r)
			})
		}},
		{"recovery from panics", recovering},
	}
}

func recovering(_ *testing.T, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				http.Error(w, "recovered", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// A gzipWriter compresses what a handler writes.
type gzipWriter struct {
	http.ResponseWriter
	gzip *gzip.Writer
}

func (w gzipWriter) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

func (w gzipWriter) Write(p []byte) (int, error) {
	w.Header().Del("Content-Length")
	return w.gzip.Write(p)
}

func (w gzipWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w gzipWriter) Flush()                      { w.gzip.Flush(); http.NewResponseController(w.ResponseWriter).Flush() }

func compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		writer := gzip.NewWriter(w)
		defer writer.Close()
		next.ServeHTTP(gzipWriter{w, writer}, r)
	})
}

// An ending is a way in which a handler ends after it has changed its session.
type ending struct {
	name    string
	finish  func(w http.ResponseWriter, r *http.Request)
	status  int // of the response if nothing wraps the handler; 0 for no response
	stored  bool
	not     []string // wrappings that don't support it
	upgrade bool
}

func endings() []ending {
	upgrade := func(w http.ResponseWriter, _ *http.Request) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		buffer.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nupgraded")
		buffer.Flush()
	}
	timeouts := []string{"TimeoutHandler", "TimeoutHandler that sets a cookie"}
	return []ending{
		{name: "writes nothing", finish: func(http.ResponseWriter, *http.Request) {}, status: 200, stored: true},
		{name: "writes", finish: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }, status: 200, stored: true},
		{name: "copies a file", finish: func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader("x")) }, status: 200, stored: true},
		{name: "redirects", finish: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) }, status: 303, stored: true},
		{name: "responds with an error", finish: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) }, status: 418, stored: true},
		{name: "hints, then writes", finish: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "x")
		}, status: 200, stored: true, not: timeouts},
		{name: "flushes", finish: func(w http.ResponseWriter, _ *http.Request) {
			http.NewResponseController(w).Flush()
			io.WriteString(w, "x")
		}, status: 200, stored: true, not: timeouts},
		{name: "is a proxy", finish: func(w http.ResponseWriter, r *http.Request) { proxied(w, r, http.StatusOK) }, status: 200, stored: true},
		{name: "is a proxy of hints", finish: func(w http.ResponseWriter, r *http.Request) { proxied(w, r, http.StatusEarlyHints) }, status: 200, stored: true, not: timeouts},
		{name: "ignores that a change was refused", finish: func(w http.ResponseWriter, r *http.Request) {
			session.Key[int]("").Set(r.Context(), 1)
			io.WriteString(w, "x")
		}, status: 422},
		{name: "panics", finish: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "leaves a goroutine behind", finish: func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			go func() {
				visits.Add(ctx, 100) // counts only if it comes before the response
				session.From(ctx).Apply(ctx)
			}()
			io.WriteString(w, "x")
		}, status: 200, stored: true},
		{name: "hijacks", finish: upgrade, status: 101, stored: true, not: timeouts, upgrade: true},
	}
}

// proxied forwards the request to another server, which first responds with status if that is informational.
func proxied(w http.ResponseWriter, r *http.Request, status int) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status == http.StatusEarlyHints {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(status)
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		http.SetCookie(w, &http.Cookie{Name: "behind", Value: "x"})
		io.WriteString(w, "x")
	}))
	defer behind.Close()
	target, _ := url.Parse(behind.URL)
	httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
}

// A step is the change that a handler makes to its session.
type step struct {
	name  string
	do    func(ctx context.Context) error
	known bool // the visitor has a session
}

func steps() []step {
	visit := func(ctx context.Context) error { visits.Add(ctx, 1); return nil }
	login := func(ctx context.Context) error {
		if err := session.From(ctx).Login(ctx, "ada"); err != nil {
			return err
		}
		visits.Add(ctx, 1)
		return nil
	}
	return []step{
		{"first change", visit, false}, {"change", visit, true}, {"login", login, true}, {"first login", login, false},
	}
}

// TestWrappers combines every wrapping, inside and outside the middleware, with every ending, over HTTP/1.1 and HTTP/2. If the
// client got a success, the change is stored and the cookie arrived. Otherwise the change is stored at most once.
func TestWrappers(t *testing.T) {
	servers := map[bool]*wrapServer{false: newWrapServer(t, false), true: newWrapServer(t, true)} // by HTTP/2
	cases := 0
	for _, inner := range wrappings() {
		for _, outer := range wrappings() {
			if inner.name != "nothing" && outer.name != "nothing" && (inner.name != outer.name || inner.name == "StripPrefix") {
				continue
			}
			for _, ending := range endings() {
				for _, step := range steps() {
					for _, http2 := range []bool{false, true} {
						if ending.upgrade && http2 || ending.excludes(inner.name) || ending.excludes(outer.name) {
							continue
						}
						cases++
						name := fmt.Sprintf("%s in %s in %s, %s, HTTP/2 %v", ending.name, inner.name, outer.name, step.name, http2)
						if err := runWrapped(t, servers[http2], inner, outer, ending, step); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
				}
			}
		}
	}
	t.Logf("%d cases", cases)
}

// A cookieDropper removes cookies from the header of a response, as a faulty middleware does.
type cookieDropper struct{ http.ResponseWriter }

func (w cookieDropper) WriteHeader(status int) {
	w.Header().Del("Set-Cookie")
	w.ResponseWriter.WriteHeader(status)
}

func (w cookieDropper) Write(p []byte) (int, error) {
	w.Header().Del("Set-Cookie")
	return w.ResponseWriter.Write(p)
}

// TestWrappers must detect a lost cookie, and a success response before the change is stored.
func TestBrokenWrappersAreDetected(t *testing.T) {
	nothing, writes, first, change := wrappings()[0], endings()[1], steps()[0], steps()[1]
	server := newWrapServer(t, false)
	lost := wrapping{"a handler that loses cookies", func(_ *testing.T, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(cookieDropper{w}, r) })
	}}
	if err := runWrapped(t, server, nothing, lost, writes, first); err == nil {
		t.Error("a lost cookie was not detected")
	}
	early := wrapping{"a handler that responds first", func(_ *testing.T, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			next.ServeHTTP(w, r)
		})
	}}
	if err := runWrapped(t, server, early, nothing, writes, change); err == nil {
		t.Error("an early success was not detected")
	}
}

func (e ending) excludes(wrapping string) bool {
	for _, name := range e.not {
		if name == wrapping {
			return true
		}
	}
	return false
}

// A wrapServer is a server whose handler changes from case to case.
type wrapServer struct {
	*httptest.Server
	handler atomic.Pointer[http.Handler]
}

func newWrapServer(t *testing.T, http2 bool) *wrapServer {
	var s wrapServer
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*s.handler.Load()).ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	s.Config.Protocols = &protocols
	s.Start()
	t.Cleanup(s.Close)
	s.Client().Transport.(*http.Transport).Protocols = &protocols
	s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &s
}

func runWrapped(t *testing.T, server *wrapServer, inner, outer wrapping, ending ending, step step) error {
	manager, err := session.New(memory.New(), session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/fill", func(_ http.ResponseWriter, r *http.Request) { visits.Add(r.Context(), 7) })
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		n, err := visits.Get(r.Context())
		user, _ := session.From(r.Context()).User(r.Context())
		fmt.Fprintf(w, "%d %s", n, user)
		if err != nil {
			fmt.Fprint(w, err)
		}
	})
	mux.Handle("/app/wrapped", outer.wrap(t, manager.Handler(inner.wrap(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := step.do(r.Context()); err != nil {
			http.Error(w, err.Error(), session.StatusCode(err))
			return
		}
		ending.finish(w, r)
	})))))
	root := http.NewServeMux()
	root.Handle("/app/", mux)
	root.Handle("/", manager.Handler(mux))
	handler := http.Handler(root)
	server.handler.Store(&handler)

	cookie := ""
	send := func(path string) (status int, body string) {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, nil)
		if cookie != "" {
			request.AddCookie(&http.Cookie{Name: "session", Value: cookie})
		}
		if ending.upgrade && path == "/app/wrapped" {
			return upgradeBy(server, request, &cookie)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return 0, err.Error()
		}
		if control := response.Header.Get("Cache-Control"); path == "/app/wrapped" && strings.Contains(control, "public") {
			return 0, "a response with a session is public: " + control
		}
		for _, set := range response.Cookies() {
			if set.Name == "session" {
				cookie = set.Value
			}
		}
		return response.StatusCode, string(text)
	}
	before := "0 "
	if step.known {
		send("/fill")
		before = "7 "
	}
	old := cookie
	status, text := send("/app/wrapped")
	after := map[string]string{
		"first change": "1 ", "change": "8 ", "login": "8 ada", "first login": "1 ada",
	}[step.name]
	_, got := send("/read")
	success := status == http.StatusSwitchingProtocols || 200 <= status && status < 400
	if ending.name == "leaves a goroutine behind" {
		for n := int64(1); n < 10; n++ { // with the goroutine's addition, or without
			got = strings.Replace(got, fmt.Sprint(100+n), fmt.Sprint(n), 1)
		}
	}
	switch {
	case success && got != after:
		return fmt.Errorf("status %d (%s), and the session has %s, want %s", status, text, got, after)
	case got != before && got != after && got != before+"ada":
		if status == 0 && step.name == "login" && got == "0 " {
			return nil // the login was done without a response; RunFaults tests a login with the old cookie
		}
		return fmt.Errorf("status %d (%s), and the session has %s, want %s or %s", status, text, got, before, after)
	case ending.stored && !success && ending.status < 400 && !(ending.upgrade && cookie != old):
		return fmt.Errorf("status %d (%s), want %d", status, text, ending.status)
	}
	return nil
}

// upgradeBy sends a request that upgrades to another protocol.
func upgradeBy(server *wrapServer, request *http.Request, cookie *string) (status int, body string) {
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		return 0, err.Error()
	}
	defer conn.Close()
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "test")
	if err := request.Write(conn); err != nil {
		return 0, err.Error()
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	for hints := 0; err == nil && response.StatusCode == http.StatusEarlyHints && hints < 3; hints++ {
		response, err = http.ReadResponse(reader, request)
	}
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	for _, set := range response.Cookies() {
		if set.Name == "session" {
			*cookie = set.Value
		}
	}
	return response.StatusCode, response.Status
}
