// Package attack tests the server against attacks: each test sends requests that no browser would send to the server's
// program, which runs in a separate process. Other tests let the store misbehave (store_faults_test.go).
package attack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/lab/fleet"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

// A server is a running process of the sample server.
type server struct {
	*process.Process
	addr, admin string
	output      *output
}

// An output collects the output of a process. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var serving = regexp.MustCompile(`"msg":"serving",.*"addr":"([^"]+)","admin":"([^"]+)"`)

// program builds the server once for all tests.
var program = sync.OnceValues(func() (string, error) { return fleet.Build(context.Background()) })

// startServer starts a server with these environment variables, optionally under another command such as a shell.
func startServer(t *testing.T, settings []string, under ...string) *server {
	t.Helper()
	s := &server{output: &output{}}
	arguments := append(under, must.Get(program())(t))
	var err error
	s.Process, err = process.Start(process.Command{
		Name: "server", Path: arguments[0], Args: arguments[1:], Output: s.output,
		Env: append([]string{
			"PATH=" + os.Getenv("PATH"), "ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SERVER_NAME=server-1", "SHUTDOWN_DELAY=0s",
		}, settings...),
	})
	must.Succeed(t, err)
	t.Cleanup(s.Kill)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if found := serving.FindStringSubmatch(s.output.String()); found != nil {
			s.addr, s.admin = found[1], found[2]
			return s
		}
		must.Succeed(t, s.Ended())
	}
	t.Fatalf("the server doesn't respond:\n%s", s.output)
	return nil
}

// send sends the bytes unchanged on a new connection and returns the status of the response; 0 if there is none or
// if it is not HTTP.
func (s *server) send(t *testing.T, request string) (status int, body string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.addr, 5*time.Second)
	must.Succeed(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	go io.WriteString(conn, request) // the server may respond before it has read the whole request
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// do sends a request with headers, a list of names and values.
func (s *server) do(t *testing.T, method, path, form string, headers ...string) *http.Response {
	t.Helper()
	request := must.Get(http.NewRequestWithContext(context.Background(), method, "http://"+s.addr+path, strings.NewReader(form)))(t)
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response := must.Get(http.DefaultTransport.RoundTrip(request))(t)
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// metrics returns the metrics of the admin server.
func (s *server) metrics(t *testing.T) string {
	t.Helper()
	response := must.Get(http.Get("http://" + s.admin + "/metrics"))(t)
	defer response.Body.Close()
	text := must.Get(io.ReadAll(response.Body))(t)
	return string(text)
}

// checkHealthy fails the test unless the server is running and responds.
func (s *server) checkHealthy(t *testing.T) {
	t.Helper()
	must.Succeed(t, s.Ended())
	if status, _ := s.send(t, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
}

// awaitHealthy fails the test unless /healthz succeeds again soon.
func (s *server) awaitHealthy(t *testing.T) {
	t.Helper()
	status := 0
	for deadline := time.Now().Add(20 * time.Second); status != http.StatusOK && time.Now().Before(deadline); {
		conn := dial(t, s.addr)
		status = conn.get(t, "/healthz")
		conn.Close()
	}
	if status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
}

func cookieHeader(response *http.Response) string {
	var pairs []string
	for _, cookie := range response.Cookies() {
		pairs = append(pairs, fmt.Sprintf("%s=%s", cookie.Name, cookie.Value))
	}
	return strings.Join(pairs, "; ")
}

// startFails starts a server with settings that it must refuse, and returns its output.
func startFails(t *testing.T, settings ...string) string {
	t.Helper()
	written := &output{}
	p, err := process.Start(process.Command{Name: "server", Path: must.Get(program())(t), Env: append(settings, "SERVER_NAME=a"), Output: written})
	must.Succeed(t, err)
	t.Cleanup(p.Kill)
	select {
	case <-p.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the server started, want it to refuse the settings")
	}
	if p.ExitCode() <= 0 {
		t.Errorf("exit code %d, want a positive one", p.ExitCode())
	}
	return written.String()
}

// A clientConn is an open connection to the server.
type clientConn struct {
	net.Conn
	reader *bufio.Reader
}

// dial opens a connection that is closed at the end of the test.
func dial(t *testing.T, addr string) *clientConn {
	t.Helper()
	conn := must.Get(net.DialTimeout("tcp", addr, 5*time.Second))(t)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &clientConn{conn, bufio.NewReader(conn)}
}

// get returns the status of the response, or 0 if the connection was closed.
func (c *clientConn) get(t *testing.T, path string) int { return c.do(t, http.MethodGet, path) }

// do is like get with another method.
func (c *clientConn) do(t *testing.T, method, path string) int {
	t.Helper()
	io.WriteString(c, method+" "+path+" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.StatusCode
}
