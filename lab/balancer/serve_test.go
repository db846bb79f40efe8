package balancer

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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
	server := serve(listener, b, l)
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
	b := newFixture(t, Options{}, newStub(t, "a", nil))
	l := defaultLimits()
	l.connections = 2
	address := b.listen(t, l)
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
	if got := ask(open[0]); got != 200 {
		t.Errorf("an open connection got %d, want 200", got)
	}
	open[0].Close()
	sessiontest.Await(t, "a new connection is accepted", func() bool { return ask(dialRaw(t, address)) == 200 })
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
