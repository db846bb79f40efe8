package attack

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

// A storeFault is a way in which a store misbehaves on a connection. Requests that need the store must get a 503.
type storeFault struct {
	name string
	run  func(net.Conn)
	// status, if not 0, is the expected status of GET /api/session for a fault that does not affect every request: the reply is
	// well-formed and may be correct, or it changes times of a session that a login or a logout ends without using them. Other
	// requests may then get any status but 500.
	status int
	// fresh starts a new server, which has had no connection to the working store.
	fresh bool
}

// A storeRequest is a request that needs the store.
type storeRequest struct{ method, path, form string }

// storeRequests returns every kind of request that needs the store, in the order of sending: the last ends the session.
func storeRequests() []storeRequest {
	return []storeRequest{
		{http.MethodGet, "/api/session", ""},
		{http.MethodGet, "/", ""},
		{http.MethodGet, "/api/sessions", ""},
		{http.MethodGet, "/api/leaderboard", ""},
		{http.MethodPost, "/api/visits", ""},
		{http.MethodPost, "/api/cart/coffee", "quantity=1"},
		{http.MethodPost, "/api/scores", "score=5"},
		{http.MethodPost, "/login", "user=eve"},
		{http.MethodPost, "/logout/everywhere", ""},
		{http.MethodPost, "/logout", ""},
	}
}

// A testedServer is a server that reaches its store through a faultProxy.
type testedServer struct {
	*server
	t           *testing.T // the test of all faults; the server stops at its end
	proxy       *faultProxy
	settings    []string
	unsupported []string // the paths of routes that this store does not support
}

const (
	// maxMemory bounds the memory of a server while its store misbehaves. Otherwise it uses some 25 MB.
	maxMemory = 128 << 20
	// maxData is the limit of the data segment, beyond which the process ends. Go maps some 100 MB without using them.
	maxData = 512 << 20
	// requestTimeout bounds a request on a busy machine. Each store operation has 100 ms.
	requestTimeout = 10 * time.Second
)

// start starts the server, or a replacement for it.
func (v *testedServer) start(t *testing.T) {
	t.Helper()
	under := []string{}
	if runtime.GOOS == "linux" {
		under = []string{"sh", "-c", fmt.Sprintf(`ulimit -d %d; exec "$0"`, maxData>>10)}
	}
	v.server = startServer(t, append(v.settings, "PLAIN_HTTP=true", "STORE_TIMEOUT=100ms"), under...)
}

// runFaults runs every fault. Before and after each one the store works.
func (v *testedServer) runFaults(t *testing.T, faults []storeFault) {
	v.t = t
	v.start(t)
	for _, fault := range faults {
		if !t.Run(fault.name, func(t *testing.T) { v.runFault(t, fault) }) {
			v.Kill() // the next fault gets a new server
			v.proxy.set(nil)
			v.start(t)
		}
	}
}

// runFault runs one fault. The server must respond in bounded time and memory meanwhile, and recover afterwards.
func (v *testedServer) runFault(t *testing.T, f storeFault) {
	v.proxy.set(nil)
	cookie := v.awaitStore(t)
	v.proxy.set(f.run)
	if f.fresh {
		v.Kill()
		v.start(v.t)
	}
	v.resetMemory(t)
	if f.status != 0 {
		v.awaitStatus(t, cookie, f.status)
	}
	var concurrent sync.WaitGroup
	for range 8 {
		concurrent.Go(func() { v.expect(t, storeRequests()[0], cookie, f) })
	}
	concurrent.Wait()
	for _, need := range storeRequests() {
		if !slices.Contains(v.unsupported, need.path) {
			v.expect(t, need, cookie, f)
		}
	}
	for _, path := range []string{"/none", "/healthz", "/api/session"} {
		if status, _ := v.ask(t, storeRequest{http.MethodGet, path, ""}, ""); status != http.StatusOK {
			t.Errorf("GET %s, which needs no store: %d", path, status)
		}
	}
	v.checkHealthy(t)
	if used := v.maxMemoryUsed(t); used > maxMemory {
		t.Errorf("the server used %d MB, want at most %d", used>>20, maxMemory>>20)
	}
	v.closesConnections(t)
	v.proxy.set(nil)
	v.awaitStore(t)
	if said := v.output.String(); strings.Contains(said, `"panic"`) {
		t.Errorf("a handler panicked:\n%.3000s", said[strings.Index(said, `"panic"`):])
	}
}

// closesConnections fails the test unless the server soon closes all but a few connections, although the fault goes on.
func (v *testedServer) closesConnections(t *testing.T) {
	t.Helper()
	const poolSize = 10 // connections that a pool may keep open
	open := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		v.proxy.mu.Lock()
		open = len(v.proxy.open)
		v.proxy.mu.Unlock()
		if open <= poolSize {
			return
		}
	}
	t.Errorf("%d connections to the store are open, want at most %d", open, poolSize)
}

// awaitStatus fails the test unless GET /api/session gets that status before long. Requests on connections to the working store may fail first.
func (v *testedServer) awaitStatus(t *testing.T, cookie string, want int) {
	t.Helper()
	status := 0
	for deadline := time.Now().Add(20 * time.Second); status != want && time.Now().Before(deadline); {
		status, _ = v.ask(t, storeRequests()[0], cookie)
	}
	if status != want {
		t.Errorf("GET /api/session: %d, want %d", status, want)
	}
}

func (v *testedServer) expect(t *testing.T, n storeRequest, cookie string, f storeFault) {
	t.Helper()
	status, _ := v.ask(t, n, cookie)
	if f.status == 0 && status != http.StatusServiceUnavailable {
		t.Errorf("%s %s: %d, want 503", n.method, n.path, status)
	}
	if status == 0 || status == http.StatusInternalServerError {
		t.Errorf("%s %s: %d", n.method, n.path, status)
	}
}

// ask returns the status and the cookies of the response. Status 0 means that there was none within requestTimeout.
func (v *testedServer) ask(t *testing.T, n storeRequest, cookie string) (status int, cookies string) {
	t.Helper()
	request, err := http.NewRequest(n.method, "http://"+v.addr+n.path, strings.NewReader(n.form))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	if n.form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Cookie", cookie)
	client := http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Logf("%s %s: %v", n.method, n.path, err)
		return 0, ""
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
	return response.StatusCode, cookieHeader(response)
}

// awaitStore waits until the server can use its store again: it logs in, changes and reads a session. It returns the cookie.
func (v *testedServer) awaitStore(t *testing.T) (cookie string) {
	t.Helper()
	for _, n := range []storeRequest{
		{http.MethodPost, "/login", "user=ada"}, {http.MethodPost, "/api/visits", ""}, {http.MethodPost, "/api/scores", "score=5"}, storeRequests()[0],
	} {
		if slices.Contains(v.unsupported, n.path) {
			continue
		}
		status, cookies := 0, ""
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if status, cookies = v.ask(t, n, cookie); status == http.StatusOK {
				break
			}
			must.Succeed(t, v.Ended())
			if time.Now().After(deadline) {
				t.Fatalf("%s %s: %d although the store works, want 200:\n%s", n.method, n.path, status, tail(v.output.String()))
			}
		}
		if cookie == "" {
			cookie = cookies
		}
	}
	return cookie
}

func tail(text string) string { return text[max(0, len(text)-3000):] }

// resetMemory resets the maximum that maxMemoryUsed returns.
func (v *testedServer) resetMemory(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	must.Succeed(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", v.Pid()), []byte("5"), 0o200))
}

func (v *testedServer) maxMemoryUsed(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	return v.maxResidentMemory(t)
}
