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
)

// Visitors beyond the bound are told so at once; those who are in are served on, and who leaves makes room. To the load
// balancer's health check a full server is well.
func TestConnectionsAreBounded(t *testing.T) {
	const most = 16
	web, _, end := serve(t, func(c *config.Config) { c.MaxConnections = most })
	address := strings.TrimPrefix(web, "http://")
	var open []*visitorConn
	for range most {
		v := dial(t, address)
		if status := v.get(t); status != http.StatusOK {
			t.Fatalf("connection %d of %d: %d", len(open)+1, most, status)
		}
		open = append(open, v)
	}
	for range maxRefusals / 2 { // each with two connections
		v := dial(t, address)
		if status := v.get(t); status != http.StatusServiceUnavailable {
			t.Fatalf("one connection too many: %d", status)
		}
		v.Close()
		v = dial(t, address)
		if status := v.request(t, "/healthz"); status != http.StatusOK {
			t.Fatalf("the health check of a full server: %d", status)
		}
		v.Close()
	}
	if status := open[3].get(t); status != http.StatusOK {
		t.Errorf("a connection that is in: %d", status)
	}
	open[0].Close()
	var status int
	var err error
	for deadline := time.Now().Add(30 * time.Second); status != http.StatusOK && time.Now().Before(deadline); {
		v := dial(t, address)
		status, err = v.ask("/none") // beyond maxRefusals the answer may be lost
		v.Close()
	}
	if status != http.StatusOK {
		t.Errorf("after one has left: %d, %v", status, err)
	}
	for _, v := range open {
		v.Close()
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// A flood of connections that say nothing holds up nobody who is in, and ends no server.
func TestSilentFlood(t *testing.T) {
	web, _, end := serve(t, func(c *config.Config) { c.MaxConnections = 16 })
	address := strings.TrimPrefix(web, "http://")
	in := dial(t, address)
	if status := in.get(t); status != http.StatusOK {
		t.Fatal(status)
	}
	for range 200 {
		dial(t, address)
	}
	if status := in.get(t); status != http.StatusOK {
		t.Errorf("a connection that is in: %d", status)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

type visitorConn struct {
	net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, address string) *visitorConn {
	conn, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return &visitorConn{conn, bufio.NewReader(conn)}
}

// get asks for a page that needs no session, and returns the status of the answer.
func (v *visitorConn) get(t *testing.T) int {
	t.Helper()
	return v.request(t, "/none")
}

func (v *visitorConn) request(t *testing.T, path string) int {
	t.Helper()
	status, err := v.ask(path)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func (v *visitorConn) ask(path string) (status int, err error) {
	io.WriteString(v, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
	response, err := http.ReadResponse(v.reader, nil)
	if err != nil {
		return 0, err
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.StatusCode, nil
}
