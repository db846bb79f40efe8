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
)

// A lie is what a store says on a connection. Requests that need the store get 503.
type lie struct {
	name string
	tell func(net.Conn)
	// status, when not 0, is the status of GET /api/session for a lie that does not concern every request. Either what the
	// store says is well-formed and may be true, or it is about the times of a session that a login or a logout ends without
	// using them. The other requests may then get anything but a 500.
	status int
	// fresh has a new server hear the lie, which never heard the truth.
	fresh bool
}

// A need is a request that needs the store.
type need struct{ method, path, form string }

// needs returns every kind of request that needs the store, in the order in which they are sent: the last ends the session.
func needs() []need {
	return []need{
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

// A victim is a server whose store lies.
type victim struct {
	*server
	t        *testing.T // of all lies: its end is the server's
	liar     *liar
	settings []string
	unable   []string // the paths of requests that are refused with this store
}

const (
	// liedMemory bounds what a server takes while its store lies. It takes some 25 MB when all is well.
	liedMemory = 128 << 20
	// liedData is where its process ends: some 100 MB are mapped and never used.
	liedData = 512 << 20
	// maxPatience bounds how long a request takes, on a busy machine. Each operation on the store has 100 ms.
	maxPatience = 10 * time.Second
)

// start starts the server, or another one in its place.
func (v *victim) start(t *testing.T) {
	t.Helper()
	under := []string{}
	if runtime.GOOS == "linux" {
		under = []string{"sh", "-c", fmt.Sprintf(`ulimit -d %d; exec "$0"`, liedData>>10)}
	}
	v.server = start(t, append(v.settings, "PLAIN_HTTP=true", "STORE_TIMEOUT=100ms"), under...)
}

// suffer tells the server each lie, with the truth before and after.
func (v *victim) suffer(t *testing.T, lies []lie) {
	v.t = t
	v.start(t)
	for _, lie := range lies {
		if !t.Run(lie.name, func(t *testing.T) { v.hear(t, lie) }) {
			v.Kill() // what comes next shall not suffer from it
			v.liar.tell(nil)
			v.start(t)
		}
	}
}

// hear tells the server one lie. Meanwhile it must answer in bounded time and memory, and afterwards recover.
func (v *victim) hear(t *testing.T, lie lie) {
	v.liar.tell(nil)
	cookie := v.recovers(t)
	v.liar.tell(lie.tell)
	if lie.fresh {
		v.Kill()
		v.start(v.t)
	}
	v.resetMemory(t)
	if lie.status != 0 {
		v.answersSoon(t, cookie, lie.status)
	}
	var together sync.WaitGroup
	for range 8 {
		together.Go(func() { v.expect(t, needs()[0], cookie, lie) })
	}
	together.Wait()
	for _, need := range needs() {
		if !slices.Contains(v.unable, need.path) {
			v.expect(t, need, cookie, lie)
		}
	}
	for _, path := range []string{"/none", "/healthz", "/api/session"} {
		if status, _ := v.ask(t, need{http.MethodGet, path, ""}, ""); status != http.StatusOK {
			t.Errorf("GET %s, which needs no store: %d", path, status)
		}
	}
	v.well(t)
	if most := v.peakMemory(t); most > liedMemory {
		t.Errorf("it took %d MB", most>>20)
	}
	v.forgets(t)
	v.liar.tell(nil)
	v.recovers(t)
	if said := v.said.String(); strings.Contains(said, `"panic"`) {
		t.Errorf("a handler panicked:\n%.3000s", said[strings.Index(said, `"panic"`):])
	}
}

// forgets fails the test unless the server soon gives up all but a few connections, though the store goes on lying.
func (v *victim) forgets(t *testing.T) {
	t.Helper()
	const few = 10 // that a pool may keep
	open := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		v.liar.mu.Lock()
		open = len(v.liar.open)
		v.liar.mu.Unlock()
		if open <= few {
			return
		}
	}
	t.Errorf("%d connections to the store are open", open)
}

// answersSoon fails the test unless GET /api/session gets that status before long. Connections of the truth fail first.
func (v *victim) answersSoon(t *testing.T, cookie string, want int) {
	t.Helper()
	status := 0
	for deadline := time.Now().Add(20 * time.Second); status != want && time.Now().Before(deadline); {
		status, _ = v.ask(t, needs()[0], cookie)
	}
	if status != want {
		t.Errorf("GET /api/session: %d, want %d", status, want)
	}
}

func (v *victim) expect(t *testing.T, n need, cookie string, lie lie) {
	t.Helper()
	status, _ := v.ask(t, n, cookie)
	if lie.status == 0 && status != http.StatusServiceUnavailable {
		t.Errorf("%s %s: %d, want 503", n.method, n.path, status)
	}
	if status == 0 || status == http.StatusInternalServerError {
		t.Errorf("%s %s: %d", n.method, n.path, status)
	}
}

// ask returns the status and the cookies of the answer. Status 0 is that there is none within maxPatience.
func (v *victim) ask(t *testing.T, n need, cookie string) (status int, cookies string) {
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
	client := http.Client{Timeout: maxPatience, Transport: &http.Transport{DisableKeepAlives: true}}
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

// recovers returns the cookie of a session that was begun, changed and read, as soon as the store can be used.
func (v *victim) recovers(t *testing.T) (cookie string) {
	t.Helper()
	for _, n := range []need{
		{http.MethodPost, "/login", "user=ada"}, {http.MethodPost, "/api/visits", ""}, {http.MethodPost, "/api/scores", "score=5"}, needs()[0],
	} {
		if slices.Contains(v.unable, n.path) {
			continue
		}
		status, cookies := 0, ""
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if status, cookies = v.ask(t, n, cookie); status == http.StatusOK {
				break
			}
			if err := v.Ended(); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatalf("the store tells the truth, and %s %s gets %d:\n%s", n.method, n.path, status, tail(v.said.String()))
			}
		}
		if cookie == "" {
			cookie = cookies
		}
	}
	return cookie
}

func tail(text string) string { return text[max(0, len(text)-3000):] }

// resetMemory has peakMemory count from now on.
func (v *victim) resetMemory(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", v.Pid()), []byte("5"), 0o200); err != nil {
		t.Fatal(err)
	}
}

func (v *victim) peakMemory(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	return v.mostMemory(t)
}
