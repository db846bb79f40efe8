package balancer

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
)

// dialRaw opens a connection on which the test writes requests byte by byte. Its deadline is a minute away.
func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// status reads a response and returns its status, or 0 if there is none.
func status(conn net.Conn) int {
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0
	}
	return response.StatusCode
}

// A server may refuse a request before it has read the whole of it, and then close or reset the connection.
func TestEarlyResponseIsForwarded(t *testing.T) {
	const length = 10 << 20
	reset := newRawServer(t, func(int64, net.Conn, *http.Request) bool { return false })
	reset.early = func(conn net.Conn) {
		fmt.Fprint(conn, "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 5\r\n\r\nlarge")
		awaitDelivery(t, conn.(*net.TCPConn))
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	polite := newStub(t, "a", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "large", http.StatusRequestEntityTooLarge)
	})
	servers := map[string]string{"closed": polite.address()}
	if runtime.GOOS == "linux" { // elsewhere the reset may discard the response
		servers["reset"] = reset.Addr().String()
	}
	for name, address := range servers {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t, Options{HealthInterval: time.Hour})
			if err := b.Register("a", address); err != nil {
				t.Fatal(err)
			}
			for range 50 {
				conn := dialRaw(t, b.server.Listener.Addr().String())
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", length)
				sent := make(chan struct{})
				go func() {
					_, _ = io.CopyN(conn, zeros{}, length) // fails once the balancer has closed the connection
					close(sent)
				}()
				if got := status(conn); got != http.StatusRequestEntityTooLarge {
					t.Errorf("got %d, want 413", got)
				}
				conn.Close()
				<-sent
			}
			if got := b.Errors(); got != (Errors{}) {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A client that waits for a response before it sends the body gets that response, with or without a body.
func TestEarlyResponseDoesNotWaitForTheBody(t *testing.T) {
	for _, text := range []string{"", "large", strings.Repeat("large", 100_000)} {
		t.Run(fmt.Sprint(len(text)), func(t *testing.T) {
			server := newRawServer(t, func(int64, net.Conn, *http.Request) bool { return false })
			server.early = func(conn net.Conn) {
				fmt.Fprintf(conn, "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
				_, _ = io.Copy(io.Discard, conn) // until the balancer closes it
			}
			b := newFixture(t, Options{HealthInterval: time.Hour})
			if err := b.Register("a", server.Addr().String()); err != nil {
				t.Fatal(err)
			}
			conn := dialRaw(t, b.server.Listener.Addr().String())
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst")
			if got := status(conn); got != http.StatusRequestEntityTooLarge {
				t.Errorf("got %d, want 413", got)
			}
		})
	}
}

// The balancer closes a connection on which it responded before it had read the whole request. The response announces that, so
// that the client does not send the next request on the same connection.
func TestConnectionEndsWithAnEarlyResponse(t *testing.T) {
	b := newFixture(t, Options{HealthInterval: time.Hour})
	if err := b.Register("a", "127.0.0.1:1"); err != nil { // where nothing listens
		t.Fatal(err)
	}
	const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
	for range 50 {
		conn := dialRaw(t, b.server.Listener.Addr().String())
		answers := bufio.NewReader(conn)
		for range 3 {
			fmt.Fprint(conn, request)
			response, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("the connection was closed without an announcement: %v", err)
			}
			if response.StatusCode != http.StatusBadGateway {
				t.Fatalf("got %s, want 502", response.Status)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
			if response.Close {
				break
			}
		}
		conn.Close()
	}
}

// A client that does not read the response occupies neither the target nor the connection for longer than the idle timeout.
func TestUnreadResponseIsAborted(t *testing.T) {
	ended := make(chan struct{})
	b := newFixture(t, Options{IdleTimeout: 200 * time.Millisecond}, newStub(t, "a", func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		for part := make([]byte, 1<<16); ; {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	}))
	conn := dialRaw(t, b.server.Listener.Addr().String())
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		conn.Close() // so that the handler ends
		t.Error("after half a minute the server is still writing")
	}
	sessiontest.Await(t, "nothing in flight", func() bool { return b.find("a").inFlight.Load() == 0 })
}

// A response may take longer than the idle timeout, as long as the client keeps reading.
func TestSlowResponseIsNotAborted(t *testing.T) {
	const idle, parts = 200 * time.Millisecond, 5
	b := newFixture(t, Options{IdleTimeout: idle}, newStub(t, "a", func(w http.ResponseWriter, r *http.Request) {
		for range parts {
			fmt.Fprint(w, "part")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(idle / 2):
			case <-r.Context().Done():
			}
		}
	}))
	if _, body, _ := b.get(t, "/"); body != strings.Repeat("part", parts) {
		t.Errorf("got %q", body)
	}
}

// Malformed requests are not counted as errors of the targets.
func TestMalformedRequestsAreNotTheTargetsFault(t *testing.T) {
	b := newFixture(t, Options{}, newStub(t, "a", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	for _, test := range []struct {
		request string
		want    int
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: w\xff\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: w\t\r\n\r\n", 200}, // white space around the value is ignored
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a\tb\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-\xff\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: a\r\nTE: \xff, trailers\r\nTrailer: \xff\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \xff\r\nX-Amzn-Trace-Id: \xff\r\nCookie: \xff\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", 400},
		{"GET http://\xff/ HTTP/1.1\r\nHost: a\r\n\r\n", 0},
		{"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		{"BREW~! / HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		{"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
		{"POST / HTTP/1.1\r\nHost: a\r\nExpect: nonsense\r\nContent-Length: 1\r\n\r\na", 417},
		{"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", 200},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n0\r\nA: \x01\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n", 200},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
	} {
		conn := dialRaw(t, b.server.Listener.Addr().String())
		fmt.Fprint(conn, test.request)
		if got := status(conn); test.want != 0 && got != test.want || got >= 500 && got != 505 {
			t.Errorf("%q: %d, want %d", test.request, got, test.want)
		}
		conn.Close()
	}
	if got := b.Errors(); got != (Errors{}) {
		t.Errorf("counted %+v", got)
	}
}
