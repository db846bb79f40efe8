package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/lab/balancer"
)

// startBalancer puts the lab's load balancer in front of the server and returns its address.
func startBalancer(t *testing.T, s *server) (*balancer.Balancer, string) {
	t.Helper()
	b := balancer.New(balancer.Options{HealthInterval: time.Hour})
	t.Cleanup(b.Close)
	if err := b.Register("server-1", s.addr); err != nil {
		t.Fatal(err)
	}
	if err := b.Await(t.Context(), "server-1", balancer.StateHealthy); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := b.Serve(listener, b)
	t.Cleanup(func() { front.Close() })
	return b, listener.Addr().String()
}

// The server responds to forms that are too long with 413, through the load balancer too, and even if many arrive at once.
func TestLongFormsThroughTheBalancer(t *testing.T) {
	s := startServer(t, []string{"PLAIN_HTTP=true"})
	b, address := startBalancer(t, s)
	const length = 10 << 20
	var posts sync.WaitGroup
	var mu sync.Mutex
	statuses := map[string]int{}
	for i := range 40 {
		posts.Go(func() {
			conn, err := net.DialTimeout("tcp", address, 5*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n%s\r\n\r\n",
				[]string{fmt.Sprintf("Content-Length: %d", length), "Transfer-Encoding: chunked"}[i%2])
			go func() {
				if i%2 == 1 {
					fmt.Fprintf(conn, "%x\r\n", length)
				}
				for range length >> 16 {
					if _, err := io.WriteString(conn, strings.Repeat("a", 1<<16)); err != nil {
						return // the server has responded and closed the connection
					}
				}
			}()
			status := "no response"
			if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				status = response.Status
				response.Body.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	posts.Wait()
	if statuses["413 Request Entity Too Large"] != 40 {
		t.Errorf("responses by status: %v, want 40 with status 413", statuses)
	}
	if got := b.Errors(); got != (balancer.Errors{}) {
		t.Errorf("the load balancer counted errors: %+v, want none", got)
	}
	s.checkHealthy(t)
}

// Clients that request many pages and read none don't delay other clients, neither at the server nor at the load balancer.
func TestClientsThatDoNotRead(t *testing.T) {
	s := startServer(t, []string{"PLAIN_HTTP=true"})
	_, address := startBalancer(t, s)
	requests := strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1000)
	for _, to := range []string{s.addr, address} {
		for range 100 {
			conn, err := net.DialTimeout("tcp", to, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			conn.(*net.TCPConn).SetReadBuffer(4096)
			conn.SetDeadline(time.Now().Add(time.Minute))
			go io.WriteString(conn, requests) // until the buffers are full
		}
		if status := dial(t, to).get(t, "/api/session"); status != http.StatusOK {
			t.Errorf("another client got %d, want 200", status)
		}
	}
	s.checkHealthy(t)
}
