package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// Connections beyond the limit get a 503 at once. Open ones are still served, and a closed one makes room for another. The
// load balancer's health check succeeds on a full server.
func TestConnectionsAreLimited(t *testing.T) {
	const limit = 16
	web, _, end := serve(t, func(c *config.Config) { c.MaxConnections = limit })
	address := strings.TrimPrefix(web, "http://")
	var open []*clientConn
	for range limit {
		v := dial(t, address)
		if status := v.get(t); status != http.StatusOK {
			t.Fatalf("connection %d of %d: %d", len(open)+1, limit, status)
		}
		open = append(open, v)
	}
	for range maxRefusals / 2 { // each with two connections
		v := dial(t, address)
		if status := v.get(t); status != http.StatusServiceUnavailable {
			t.Fatalf("one connection beyond the limit: status %d, want 503", status)
		}
		v.Close()
		v = dial(t, address)
		if status := v.request(t, "/healthz"); status != http.StatusOK {
			t.Fatalf("the health check of a full server: status %d, want 200", status)
		}
		v.Close()
	}
	if status := open[3].get(t); status != http.StatusOK {
		t.Errorf("an open connection: status %d, want 200", status)
	}
	open[0].Close()
	var status int
	var err error
	for deadline := time.Now().Add(30 * time.Second); status != http.StatusOK && time.Now().Before(deadline); {
		v := dial(t, address)
		status, err = v.tryRequest("/none") // beyond maxRefusals the response may be lost
		v.Close()
	}
	if status != http.StatusOK {
		t.Errorf("after one connection was closed: status %d, %v, want 200", status, err)
	}
	for _, v := range open {
		v.Close()
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// A flood of idle connections affects neither open connections nor the server's shutdown.
func TestFloodOfIdleConnections(t *testing.T) {
	web, _, end := serve(t, func(c *config.Config) { c.MaxConnections = 16 })
	address := strings.TrimPrefix(web, "http://")
	first := dial(t, address)
	if status := first.get(t); status != http.StatusOK {
		t.Fatal(status)
	}
	for range 200 {
		dial(t, address)
	}
	if status := first.get(t); status != http.StatusOK {
		t.Errorf("an open connection: status %d, want 200", status)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

type clientConn struct {
	net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, address string) *clientConn {
	conn := must.Get(net.DialTimeout("tcp", address, 30*time.Second))(t)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &clientConn{conn, bufio.NewReader(conn)}
}

// get requests a route that needs no session and returns the status.
func (v *clientConn) get(t *testing.T) int {
	t.Helper()
	return v.request(t, "/none")
}

func (v *clientConn) request(t *testing.T, path string) int {
	t.Helper()
	return must.Get(v.tryRequest(path))(t)
}

func (v *clientConn) tryRequest(path string) (status int, err error) {
	io.WriteString(v, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
	response, err := http.ReadResponse(v.reader, nil)
	if err != nil {
		return 0, err
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.StatusCode, nil
}
