package attack

import (
	"net/http"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/storeserver"
)

// Clients without cookies cause no store calls until they write.
func TestSessionFlood(t *testing.T) {
	valkey := storeserver.ForTest(t, storeserver.Valkey)
	s := startServer(t, []string{"SESSION_STORE=valkey", "VALKEY_ADDRESS=" + valkey.Addr, "PLAIN_HTTP=true"})
	for i := range 500 {
		path := []string{"/api/session", "/none", "/nosuch"}[i%3]
		response := s.do(t, http.MethodGet, path, "", "Cookie", []string{"", "session=short", "a=b"}[i%3])
		if len(response.Cookies()) > 0 {
			t.Fatalf("GET %s set a cookie: %v, want none", path, response.Cookies())
		}
		response.Body.Close()
	}
	const metric = "session_store_operation_seconds_count{"
	if metrics := s.metrics(t); strings.Contains(metrics, metric) {
		t.Errorf("the store was called:\n%s", grep(metrics, metric))
	}
	if response := s.do(t, http.MethodPost, "/api/visits", ""); response.StatusCode != http.StatusOK {
		t.Fatalf("a visit: %d", response.StatusCode)
	}
	if metrics := s.metrics(t); !strings.Contains(metrics, metric) { // otherwise the check above could not fail
		t.Error("a write caused no store call, want one")
	}
}

func grep(text, want string) string {
	var found strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, want) {
			found.WriteString(line)
		}
	}
	return found.String()
}

// With few file descriptors the server refuses clients before it runs out of store connections. It recovers when some are free.
func TestFewDescriptors(t *testing.T) {
	valkey := storeserver.ForTest(t, storeserver.Valkey)
	s := startServer(t, []string{"SESSION_STORE=valkey", "VALKEY_ADDRESS=" + valkey.Addr, "PLAIN_HTTP=true"},
		"sh", "-c", `ulimit -n 96; exec "$0"`)
	const limit = 96 - 64 // the server keeps 64 descriptors for itself
	statuses := map[int]int{}
	var open []*clientConn
	for range 3 * limit {
		conn := dial(t, s.addr)
		statuses[conn.get(t, "/api/session")]++
		open = append(open, conn)
	}
	if statuses[http.StatusOK] != limit || statuses[http.StatusServiceUnavailable] == 0 {
		t.Errorf("responses by status: %v, want %d with status 200 and some with 503", statuses, limit)
	}
	if status := open[0].get(t, "/api/session"); status != http.StatusOK {
		t.Errorf("a client with an open connection got %d, want 200", status)
	}
	for _, conn := range open {
		conn.Close()
	}
	s.awaitHealthy(t)
	if strings.Contains(s.output.String(), "too many open files") {
		t.Errorf("the server ran out of file descriptors:\n%s", s.output)
	}
}
