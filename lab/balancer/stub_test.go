package balancer

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
)

// A stub is a server behind the balancer. It responds with its name, and to health checks according to its fields.
type stub struct {
	*httptest.Server
	name      string
	unhealthy atomic.Bool // responds to health checks with 500
	hung      atomic.Bool // does not respond to health checks
	handler   http.HandlerFunc
}

func newStub(t *testing.T, name string, handler http.HandlerFunc) *stub {
	t.Helper()
	if handler == nil {
		handler = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }
	}
	s := &stub{name: name, handler: handler}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != healthPath:
			s.handler(w, r)
		case s.hung.Load():
			<-r.Context().Done()
		case s.unhealthy.Load():
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stub) address() string { return s.Listener.Addr().String() }

// A fixture is a balancer on its own listener that records its transitions.
type fixture struct {
	*Balancer
	server      *httptest.Server
	mu          sync.Mutex
	transitions []Transition
}

// newFixture starts a balancer with the stubs. It checks their health every 10 ms unless options has another interval.
func newFixture(t *testing.T, options Options, stubs ...*stub) *fixture {
	t.Helper()
	b := &fixture{}
	options.OnTransition = func(transition Transition) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.transitions = append(b.transitions, transition)
	}
	options.HealthInterval = cmp.Or(options.HealthInterval, 10*time.Millisecond)
	options.HealthTimeout = cmp.Or(options.HealthTimeout, time.Minute)
	b.Balancer = New(options)
	t.Cleanup(b.Close)
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	for _, s := range stubs {
		b.add(t, s)
	}
	return b
}

func (b *fixture) add(t *testing.T, s *stub) {
	t.Helper()
	if err := b.Register(s.name, s.address()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := b.Await(ctx, s.name, StateHealthy); err != nil {
		t.Fatal(err)
	}
	sessiontest.Await(t, "the transition is reported", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Contains(b.transitions, Transition{s.name, StateInitial, StateHealthy, ""})
	})
}

// get returns status and body.
func (b *fixture) get(t *testing.T, path string, cookies ...*http.Cookie) (int, string, *http.Response) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range cookies {
		request.AddCookie(cookie)
	}
	return do(t, request)
}

func do(t *testing.T, request *http.Request) (int, string, *http.Response) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body), response
}

// servedBy sends n requests and counts them by the stub that responded. A status other than 200 is counted as "status N".
func (b *fixture) servedBy(t *testing.T, n int) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for range n {
		status, body, _ := b.get(t, "/")
		if status != http.StatusOK {
			body = fmt.Sprintf("status %d", status)
		}
		counts[body]++
	}
	return counts
}

func (b *fixture) state(name string) TargetState {
	for _, target := range b.Targets() {
		if target.Name == name {
			return target.State
		}
	}
	return ""
}

// transitionsOf returns the transitions of a target so far. The balancer reports them with a delay, and those of different
// targets in any order.
func (b *fixture) transitionsOf(name string) []Transition {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.transitions), func(c Transition) bool { return c.Target != name })
}

// A rawServer lets the test write its responses byte by byte: serve is called with each request. It passes health checks.
// Requests counts the other requests.
type rawServer struct {
	net.Listener
	connections, requests atomic.Int64
	early                 func(net.Conn) // if not nil, called in place of serve before the body is read; then the connection is closed
}

func newRawServer(t *testing.T, serve func(nth int64, conn net.Conn, request *http.Request) (keep bool)) *rawServer {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{Listener: listener}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				s.handle(conn, serve)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return s
}

func (s *rawServer) handle(conn net.Conn, serve func(int64, net.Conn, *http.Request) bool) {
	reader := bufio.NewReader(conn)
	counted := false
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if request.URL.Path == healthPath {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		if !counted {
			counted = true
			s.connections.Add(1)
		}
		if s.early != nil {
			s.early(conn)
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		if !serve(s.requests.Add(1), conn, request) {
			return
		}
	}
}

func writeResponse(conn net.Conn, body string) {
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
