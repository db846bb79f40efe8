package attack

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

// A malformed request gets a 4xx status and does not affect others.
func TestMalformedRequests(t *testing.T) {
	s := startServer(t, []string{"PLAIN_HTTP=true"})
	const host = "Host: a\r\n"
	tests := []struct {
		name, request string
		want          int
	}{
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + "Host: b\r\n\r\n", 400},
		{"a method with a space", "GE T / HTTP/1.1\r\n" + host + "\r\n", 400},
		{"an unknown HTTP version", "GET / HTTP/9.1\r\n" + host + "\r\n", 505},
		{"a header without a colon", "GET / HTTP/1.1\r\n" + host + "Cookie\r\n\r\n", 400},
		{"a header's name with a space", "GET / HTTP/1.1\r\n" + host + "Cookie : a=b\r\n\r\n", 400},
		{"NUL in a header", "GET / HTTP/1.1\r\n" + host + "X-A: a\x00b\r\n\r\n", 400},
		{"a control character in the path", "GET /\x01 HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a broken escape in the path", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
		{"two different lengths", "POST /api/visits HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 9\r\n\r\n", 400},
		{"a negative length", "POST /api/visits HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
		{"an unknown transfer coding", "POST /api/visits HTTP/1.1\r\n" + host + "Transfer-Encoding: smuggled\r\n\r\n", 501},
		{"headers of 64 KB", "GET / HTTP/1.1\r\n" + host + "X-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
		{"ten thousand headers", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X-A: a\r\n", 10_000) + "\r\n", 431},
		{"a path of 64 KB", "GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\n" + host + "\r\n", 431},
		{"a form of 1 MB", "POST /login HTTP/1.1\r\n" + host + "Content-Type: application/x-www-form-urlencoded\r\n" +
			"Content-Length: 1000005\r\n\r\nuser=" + strings.Repeat("a", 1_000_000), 413},
		{"a form that breaks off", "POST /login HTTP/1.1\r\n" + host + "Content-Type: application/x-www-form-urlencoded\r\n" +
			"Transfer-Encoding: chunked\r\n\r\nnosuch\r\n", 400},
		{"a user of 300 bytes", "POST /login HTTP/1.1\r\n" + host + "Content-Type: application/x-www-form-urlencoded\r\n" +
			"Content-Length: 305\r\n\r\nuser=" + strings.Repeat("a", 300), 422},
		{"a method without a route", "TRACE / HTTP/1.1\r\n" + host + "\r\n", 405},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if status, body := s.send(t, test.request); status != test.want {
				t.Errorf("status %d, want %d: %.200s", status, test.want, body)
			}
			s.checkHealthy(t)
		})
	}
}

// Paths with directory traversal find nothing, and redirects stay on the server.
func TestPaths(t *testing.T) {
	s := startServer(t, []string{"PLAIN_HTTP=true"})
	for _, path := range []string{
		"/static/../../../etc/passwd", "/static/..%2f..%2f..%2fetc%2fpasswd", "/static/%2e%2e/%2e%2e/etc/passwd",
		"/static/..\\..\\etc\\passwd", "/static/%00", "/.git/config", "/debug/pprof/", "/metrics", "//evil.example/", "/\\evil.example",
		"/static//evil.example", "http://evil.example/metrics", "/api/cart/..%2f..%2flogout", "/api//session", "/%2e%2e/",
	} {
		status, body := s.send(t, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if status == http.StatusOK || status >= 500 || status == 0 || strings.Contains(body, "root:") {
			t.Errorf("GET %s: %d %.200s", path, status, body)
		}
		response := s.do(t, http.MethodGet, "/", "") // other requests still succeed
		if response.StatusCode != http.StatusOK {
			t.Errorf("after GET %s: %d", path, response.StatusCode)
		}
	}
	for _, path := range []string{"//evil.example/..", "/static/..//evil.example", "//evil.example/%2f.."} {
		conn := must.Get(net.Dial("tcp", s.addr))(t)
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(conn, "GET "+path+" HTTP/1.0\r\nHost: a\r\n\r\n")
		response, _ := io.ReadAll(conn)
		conn.Close()
		for line := range strings.Lines(string(response)) {
			if name, to, _ := strings.Cut(strings.TrimSpace(line), ": "); name == "Location" &&
				(!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
				t.Errorf("GET %s redirects to %s, want a path of the server", path, to)
			}
		}
	}
}

// A client that sends its header slowly is disconnected after 10 seconds and delays nobody.
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	s := startServer(t, []string{"PLAIN_HTTP=true"})
	begun := time.Now()
	var slow []net.Conn
	for range 50 {
		conn := must.Get(net.Dial("tcp", s.addr))(t)
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-A: ")
		slow = append(slow, conn)
	}
	s.checkHealthy(t)
	for _, conn := range slow {
		conn.SetDeadline(begun.Add(time.Minute))
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatalf("%v after its first byte: %v", time.Since(begun), err)
		}
	}
	s.checkHealthy(t)
}
