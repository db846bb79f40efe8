package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// The memory plan uses at most half of the limit, because the heap may double.
func TestMemoryPlan(t *testing.T) {
	unlimited := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(unlimited)
	for _, test := range []struct {
		limit       int64
		connections int
	}{{16 << 20, 1}, {128 << 20, 23}, {1 << 30, 512}, {64 << 30, 35700}} {
		debug.SetMemoryLimit(test.limit)
		plan := planMemory()
		if plan.connections != test.connections {
			t.Errorf("%d connections in %d bytes, want %d", plan.connections, test.limit, test.connections)
		}
		taken := baseMemory + int64(plan.connections)*connectionMemory + plan.sessions
		if taken > test.limit/2 && plan.connections > 1 {
			t.Errorf("%+v takes %d bytes of %d", plan, taken, test.limit)
		}
		if got := maxConnections(16); got != min(16, test.connections) {
			t.Errorf("%d connections of at most 16 in %d bytes", got, test.limit)
		}
	}
	debug.SetMemoryLimit(unlimited)
	if got := planMemory().connections; got < 1_000_000 {
		t.Errorf("%d connections without a limit", got)
	}
}

// A connection takes at most connectionMemory, whatever the client sends.
func TestMemoryOfConnections(t *testing.T) {
	silent := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t) // a store that never responds
	defer silent.Close()
	web, _, _ := serve(t, func(c *config.Config) {
		c.Store, c.DynamoDBTable, c.Region = config.StoreDynamoDB, "sessions", "eu-west-1"
		c.DynamoDBEndpoint = "http://" + silent.Addr().String()
		c.StoreTimeout = time.Hour // requests that wait for the store keep their memory while others are measured
	})
	const (
		header = maxHeaderBytes + 3<<10 // net/http allows 4 KB more
		form   = 4 << 10
		begin  = "POST /api/scores HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
		cookie = "Cookie: session="
	)
	id := strings.Repeat("A", 43)
	for name, request := range map[string]string{
		"a header without an end": begin + shortNames(header, ":\n"),
		"a form without an end": begin + fmt.Sprintf("Content-Length: %d\r\n", form) + shortNames(header, ":\n") +
			"\r\n" + shortNames(form-8, "&"),
		"a large header while waiting for the store": begin + cookie + id + "\r\nContent-Length: 7\r\n" +
			shortNames(header, ":\n") + "\r\nscore=7",
		"a large query while waiting for the store": strings.Replace(begin, " HTTP", "?"+shortNames(header, "&")+" HTTP", 1) +
			cookie + id + "\r\nContent-Length: 7\r\n\r\nscore=7",
		"responses that the client doesn't read": strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
	} {
		t.Run(name, func(t *testing.T) {
			const connections = 64
			before := stableMemory()
			var conns []net.Conn
			for range connections {
				conn := dial(t, strings.TrimPrefix(web, "http://"))
				go io.WriteString(conn, request)
				conns = append(conns, conn)
			}
			took := (stableMemory() - before) / connections
			t.Logf("%d KB", took>>10)
			if took < 8<<10 || took > connectionMemory {
				t.Errorf("%d bytes per connection, want %d to %d", took, 8<<10, connectionMemory)
			}
			for _, conn := range conns {
				conn.Close()
			}
		})
	}
}

// stableMemory waits until the live memory no longer changes and returns it, in bytes.
func stableMemory() int64 {
	var last int64
	for still, samples := 0, 0; still < 4 && samples < 100; samples++ {
		time.Sleep(200 * time.Millisecond)
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		now := int64(stats.HeapAlloc + stats.StackInuse)
		if still++; now > last+64<<10 || now < last-64<<10 {
			still = 0
		}
		last = now
	}
	return last
}

// shortNames returns as many different short names, each followed by end, as fit into that many bytes.
func shortNames(bytes int, end string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var names strings.Builder
	for i := 0; names.Len() < bytes-8; i++ {
		for n := i; n >= 0; n = n/len(letters) - 1 {
			names.WriteByte(letters[n%len(letters)])
		}
		names.WriteString(end)
	}
	return names.String()
}
