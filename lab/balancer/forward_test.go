package balancer

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
)

// A server may close an idle connection just when the next request is sent on it. An ALB responds with 502 then, and so must
// this balancer, although http.Transport would by default retry the request.
func TestNoRequestIsRetried(t *testing.T) {
	endings := []struct {
		name string
		end  func(conn net.Conn)
	}{
		{"closed", func(conn net.Conn) { conn.Close() }},
		{"reset", func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0); conn.Close() }},
		{"closed amid the header", func(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-"); conn.Close() }},
	}
	requests := []struct {
		method, body, key string
	}{
		{"GET", "", ""}, {"HEAD", "", ""}, {"OPTIONS", "", ""}, {"DELETE", "", ""}, {"POST", "", ""}, {"POST", "a=1", ""},
		{"POST", "", "same"}, {"PUT", "a=1", "same"}, {"GET", "a=1", ""},
	}
	for _, ending := range endings {
		for _, test := range requests {
			t.Run(fmt.Sprintf("%s %s %q %s", ending.name, test.method, test.body, test.key), func(t *testing.T) {
				server := newRawServer(t, func(nth int64, conn net.Conn, _ *http.Request) bool {
					if nth == 1 {
						writeResponse(conn, "first")
						return true
					}
					ending.end(conn)
					return false
				})
				b := newFixture(t, Options{HealthInterval: time.Hour})
				if err := b.Register("raw", server.Addr().String()); err != nil {
					t.Fatal(err)
				}
				if err := b.Await(t.Context(), "raw", StateHealthy); err != nil {
					t.Fatal(err)
				}
				if status, _, _ := b.get(t, "/"); status != http.StatusOK {
					t.Fatalf("the first request got %d", status)
				}
				request, err := http.NewRequestWithContext(t.Context(), test.method, b.server.URL, strings.NewReader(test.body))
				if err != nil {
					t.Fatal(err)
				}
				if test.key != "" {
					request.Header.Set("Idempotency-Key", test.key)
				}
				if status, _, _ := do(t, request); status != http.StatusBadGateway {
					t.Errorf("got %d, want 502", status)
				}
				if n := server.requests.Load(); n != 2 {
					t.Errorf("the server saw %d requests, want 2", n)
				}
				if n := server.connections.Load(); n != 1 {
					t.Errorf("over %d connections, want 1: the second must reuse the first's", n)
				}
				if got, want := b.Errors(), (Errors{BadGateway: 1}); got != want {
					t.Errorf("counted %+v, want %+v", got, want)
				}
			})
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	server := newRawServer(t, func(_ int64, conn net.Conn, _ *http.Request) bool { writeResponse(conn, "ok"); return true })
	b := newFixture(t, Options{HealthInterval: time.Hour})
	if err := b.Register("raw", server.Addr().String()); err != nil {
		t.Fatal(err)
	}
	b.servedBy(t, 50)
	if n := server.connections.Load(); n != 1 {
		t.Errorf("%d connections for 50 requests in turn, want 1", n)
	}
}

func TestSlowTargetGives504(t *testing.T) {
	release := make(chan struct{})
	slow := newStub(t, "slow", func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	b := newFixture(t, Options{IdleTimeout: 100 * time.Millisecond}, slow)
	if status, _, _ := b.get(t, "/"); status != http.StatusGatewayTimeout {
		t.Errorf("got %d, want 504", status)
	}
	if got, want := b.Errors(), (Errors{GatewayTimeout: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestClientThatDisconnectsIsNotCountedAsError(t *testing.T) {
	tests := []struct{ name, sends string }{
		{"waiting for the response", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"amid the body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			arrived, left := make(chan struct{}), make(chan struct{})
			server := newStub(t, "a", func(_ http.ResponseWriter, r *http.Request) {
				close(arrived)
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
				close(left)
			})
			b := newFixture(t, Options{}, server)
			conn, err := net.Dial("tcp", b.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, test.sends)
			<-arrived
			conn.Close()
			<-left
			sessiontest.Await(t, "nothing in flight", func() bool { return b.find("a").inFlight.Load() == 0 })
			if got := b.Errors(); got != (Errors{}) {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

func TestUnreadableBodyIsNotTheTargetsFault(t *testing.T) {
	b := newFixture(t, Options{}, newStub(t, "a", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	conn, err := net.Dial("tcp", b.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\nno number\r\n")
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 400" {
		t.Errorf("got %q, %v", answer, err)
	}
	if got := b.Errors(); got != (Errors{}) {
		t.Errorf("counted %+v", got)
	}
}

func TestClientSeesTruncatedResponseAsError(t *testing.T) {
	server := newRawServer(t, func(_ int64, conn net.Conn, _ *http.Request) bool {
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		return false
	})
	b := newFixture(t, Options{HealthInterval: time.Hour})
	if err := b.Register("raw", server.Addr().String()); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(b.server.URL)
	if err != nil {
		return // not even the header got through
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("reading %q gave no error, want one for a truncated response", body)
	}
}

func TestRequestHeadersAtTheTarget(t *testing.T) {
	trace := `1-[0-9a-f]{8}-[0-9a-f]{24}`
	tests := []struct {
		name   string
		method string
		query  string
		header http.Header
		body   string
		want   map[string]string // header: pattern of its value
	}{
		{"plain", "GET", "b=c", nil, "", map[string]string{
			"X-Forwarded-For": `^127\.0\.0\.1$`, "X-Forwarded-Proto": `^http$`, "X-Forwarded-Port": `^PORT$`,
			"X-Amzn-Trace-Id": `^Root=` + trace + `$`, "Content-Length": `^$`, "Transfer-Encoding": `^$`,
			"Connection": `^$`, "Host": `^shop\.example$`,
		}},
		{"behind a proxy", "GET", "", http.Header{"X-Forwarded-For": {"192.0.2.1", "192.0.2.2"}}, "", map[string]string{
			"X-Forwarded-For": `^192\.0\.2\.1, 192\.0\.2\.2, 127\.0\.0\.1$`,
		}},
		{"forged headers", "GET", "", http.Header{
			"X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Host": {"evil.example"},
		}, "", map[string]string{
			"X-Forwarded-Proto": `^http$`, "X-Forwarded-Port": `^PORT$`, "X-Forwarded-Host": `^$`,
		}},
		{"a trace", "GET", "", http.Header{"X-Amzn-Trace-Id": {"Root=1-0-1"}}, "", map[string]string{
			"X-Amzn-Trace-Id": `^Self=` + trace + `;Root=1-0-1$`,
		}},
		{"a trace without a root", "GET", "", http.Header{"X-Amzn-Trace-Id": {"Visitor=1"}}, "", map[string]string{
			"X-Amzn-Trace-Id": `^Visitor=1;Root=` + trace + `$`,
		}},
		{"a body", "POST", "", http.Header{"Content-Type": {"text/plain"}}, "some text", map[string]string{
			"Content-Length": `^9$`, "Transfer-Encoding": `^$`, "Content-Type": `^text/plain$`, "Body": `^some text$`,
		}},
		{"an empty body", "POST", "", nil, "", map[string]string{"Transfer-Encoding": `^$`, "Body": `^$`}},
		{"Accept-Encoding is forwarded", "GET", "", http.Header{"Accept-Encoding": {"br"}}, "",
			map[string]string{"Accept-Encoding": `^br$`}},
		{"a malformed query", "GET", "a=%zz;b", nil, "", map[string]string{"Target": `^/\?a=%zz;b$`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			seen := http.Header{}
			b := newFixture(t, Options{}, newStub(t, "a", func(_ http.ResponseWriter, r *http.Request) {
				seen = r.Header.Clone()
				body, _ := io.ReadAll(r.Body)
				seen.Set("Body", string(body))
				seen.Set("Host", r.Host)
				seen.Set("Target", r.RequestURI)
				seen.Set("Transfer-Encoding", strings.Join(r.TransferEncoding, ","))
			}))
			request, err := http.NewRequestWithContext(t.Context(), test.method, b.server.URL+"/", bytes.NewBufferString(test.body))
			if err != nil {
				t.Fatal(err)
			}
			request.URL.RawQuery = test.query
			request.Host = "shop.example"
			for key, values := range test.header {
				request.Header[key] = values
			}
			if status, _, _ := do(t, request); status != http.StatusOK {
				t.Fatalf("got %d", status)
			}
			_, port, _ := net.SplitHostPort(b.server.Listener.Addr().String())
			for key, pattern := range test.want {
				pattern = strings.ReplaceAll(pattern, "PORT", port)
				if got := strings.Join(seen.Values(key), "|"); !regexp.MustCompile(pattern).MatchString(got) {
					t.Errorf("%s: %q, want %s", key, got, pattern)
				}
			}
		})
	}
}

// A response arrives with its headers, and each part as soon as the server flushes it.
func TestStreamedResponseIsFlushed(t *testing.T) {
	next := make(chan struct{})
	b := newFixture(t, Options{}, newStub(t, "a", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Served-By", "a")
		fmt.Fprint(w, "one")
		_ = http.NewResponseController(w).Flush()
		<-next
		fmt.Fprint(w, "two")
	}))
	response, err := http.Get(b.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 3)
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "one" {
		t.Fatalf("got %q, %v", first, err)
	}
	close(next)
	if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "two" {
		t.Errorf("got %q, %v", rest, err)
	}
	if got := response.Header.Get("X-Served-By"); got != "a" {
		t.Errorf("X-Served-By %q", got)
	}
}

// BenchmarkForward measures a request to a server in the same process, directly and through the balancer.
func BenchmarkForward(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	defer server.Close()
	for _, via := range []string{"direct", "balanced"} {
		b.Run(via, func(b *testing.B) {
			url := server.URL
			if via == "balanced" {
				balancer := New(Options{})
				defer balancer.Close()
				if err := balancer.Register("a", server.Listener.Addr().String()); err != nil {
					b.Fatal(err)
				}
				front := httptest.NewServer(balancer)
				defer front.Close()
				url = front.URL
			}
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					response, err := client.Get(url)
					if err != nil {
						b.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			})
		})
	}
}
