package balancer

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
)

// listen serves the balancer on another listener, with the limits, and returns its address.
func (b *fixture) listen(t *testing.T, l limits) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := b.serve(listener, b, l)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

func TestLongHeadersAreRefused(t *testing.T) {
	b := newFixture(t, Options{}, newStub(t, "a", nil))
	address := b.listen(t, defaultLimits())
	for length, want := range map[int]int{48 << 10: 200, 80 << 10: 431} {
		conn := dialRaw(t, address)
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-A: %s", strings.Repeat("a", length))
		if want == 200 {
			fmt.Fprint(conn, "\r\n\r\n")
		}
		if got := status(conn); got != want {
			t.Errorf("a header of %d bytes: %d, want %d", length, got, want)
		}
	}
}

func TestTheListenerBoundsConnections(t *testing.T) {
	b := newFixture(t, Options{MaxInFlight: 1}, newStub(t, "a", nil)) // and so 2 connections
	address := b.listen(t, defaultLimits())
	ask := func(conn net.Conn) int {
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		return status(conn)
	}
	var open []net.Conn
	for i, want := range []int{200, 200} {
		open = append(open, dialRaw(t, address))
		if got := ask(open[i]); got != want {
			t.Errorf("connection %d: %d, want %d", i+1, got, want)
		}
	}
	if got := status(dialRaw(t, address)); got != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d, want 503", got)
	}
	if got := b.Errors(); got != (Errors{ServiceUnavailable: 1}) {
		t.Errorf("counted %+v, want the refused connection", got)
	}
	if got := ask(open[0]); got != 200 {
		t.Errorf("an open connection got %d, want 200", got)
	}
	open[0].Close()
	sessiontest.Await(t, "a new connection is accepted", func() bool { return ask(dialRaw(t, address)) == 200 })
}

// Beyond the limit, requests get a 503 at once, while those in flight are served. With a higher limit, as without one, the same
// request waits for the target.
func TestRequestsBeyondTheLimitAreShed(t *testing.T) {
	for limit, shed := range map[int]bool{2: true, 3: false} {
		arrived, serve := make(chan struct{}, 3), make(chan struct{})
		b := newFixture(t, Options{MaxInFlight: limit}, newStub(t, "a", func(http.ResponseWriter, *http.Request) {
			arrived <- struct{}{}
			<-serve
		}))
		statuses := make(chan int, 3)
		for range 2 {
			go func() { status, _, _ := b.get(t, "/"); statuses <- status }()
			<-arrived
		}
		go func() {
			status, body, response := b.get(t, "/")
			if wait := response.Header.Get("Retry-After"); shed && (wait != "1" || !strings.Contains(body, "requests in flight") || strings.Contains(body, "in service")) {
				t.Errorf("Retry-After is %q, want 1; the body is %s", wait, body)
			}
			statuses <- status
		}()
		if shed {
			select { // while the others are in flight
			case got := <-statuses:
				if got != http.StatusServiceUnavailable {
					t.Errorf("a request beyond the limit: %d, want 503", got)
				}
			case <-arrived:
				t.Error("a request beyond the limit waits for the target, want a 503")
			}
		} else {
			<-arrived
		}
		close(serve)
		for range cap(statuses) - int(b.Errors().ServiceUnavailable) {
			if got := <-statuses; got != http.StatusOK {
				t.Errorf("limit %d: a request within the limit: %d, want 200", limit, got)
			}
		}
		if got, _, _ := b.get(t, "/"); got != http.StatusOK || (b.Errors() != Errors{}) != shed {
			t.Errorf("limit %d: afterwards %d, with the errors %+v", limit, got, b.Errors())
		}
	}
}

func TestDescriptorsNeeded(t *testing.T) {
	for descriptors, want := range map[int]int{0: 1, 20_000: 9000, DescriptorsNeeded - 1: MostInFlight - 1, DescriptorsNeeded: MostInFlight} {
		if got := maxInFlight(descriptors); got != want {
			t.Errorf("with %d descriptors: %d requests in flight, want %d", descriptors, got, want)
		}
	}
}

// A process without file descriptors sheds requests, and accepts connections again when it has some.
func TestLackOfDescriptors(t *testing.T) {
	b := newFixture(t, Options{}, newStub(t, "a", nil))
	recorder := httptest.NewRecorder()
	b.onError(recorder, httptest.NewRequest(http.MethodGet, "/", nil), &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)})
	if recorder.Code != http.StatusServiceUnavailable || b.Errors() != (Errors{ServiceUnavailable: 1}) {
		t.Errorf("no descriptor for the target: %d, counted %+v, want a 503", recorder.Code, b.Errors())
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := b.Serve(&exhausted{Listener: listener, left: 3}, b)
	t.Cleanup(func() { server.Close() })
	conn := dialRaw(t, listener.Addr().String())
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := status(conn); got != http.StatusOK {
		t.Errorf("after three failures to accept: %d, want 200", got)
	}
}

// exhausted fails to accept the first connections, for lack of file descriptors.
type exhausted struct {
	net.Listener
	left int
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.left--; l.left >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// The time to send the header and the time to send the whole request are limited.
func TestSlowRequestsAreCutOff(t *testing.T) {
	b := newFixture(t, Options{}, newStub(t, "a", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	l := defaultLimits()
	l.header, l.request = 200*time.Millisecond, 200*time.Millisecond
	address := b.listen(t, l)
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: a\r\nX-A: ":                                                  0,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf":                        408,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n":       408,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\nhal": 408,
	} {
		conn := dialRaw(t, address)
		fmt.Fprint(conn, request)
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("%q: the connection is still open after a minute: %v", request, err)
		}
		if want != 0 && !strings.Contains(string(answer), fmt.Sprintf("HTTP/1.1 %d ", want)) {
			t.Errorf("%q: %q, want %d", request, answer, want)
		}
	}
	if got := b.Errors(); got != (Errors{}) {
		t.Errorf("counted %+v", got)
	}
}

// The limits bound the time to send a request, not the time until its response.
func TestLimitsDoNotBoundSlowResponses(t *testing.T) {
	l := defaultLimits()
	l.header, l.request, l.write = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	b := newFixture(t, Options{}, newStub(t, "a", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * l.request):
			fmt.Fprint(w, "late")
		case <-r.Context().Done():
		}
	}))
	conn := dialRaw(t, b.listen(t, l))
	for range 2 {
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
		if got := status(conn); got != http.StatusOK {
			t.Errorf("got %d, want 200", got)
		}
	}
}
