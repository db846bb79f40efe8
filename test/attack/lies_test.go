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

// A liar stands between the server and a real store. It passes connections on, or tells a lie on each.
type liar struct {
	addr     string // host:port where it listens
	truth    string // host:port of the real store
	listener net.Listener
	running  sync.WaitGroup

	mu   sync.Mutex
	lie  func(net.Conn) // nil: the truth
	open map[net.Conn]bool
}

// newLiar listens on a free loopback port until the test ends, and tells the truth at first.
func newLiar(t *testing.T, truth string) *liar {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{addr: listener.Addr().String(), truth: truth, listener: listener, open: map[net.Conn]bool{}}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		listener.Close()
		l.tell(nil)
		l.running.Wait()
	})
	return l
}

// tell cuts every connection, and answers new ones with the lie; nil is the truth.
func (l *liar) tell(lie func(net.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
	for conn := range l.open {
		conn.Close()
	}
}

func (l *liar) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(time.Minute)) // no lie is endless
		l.mu.Lock()
		lie := l.lie
		l.open[conn] = true
		l.mu.Unlock()
		l.running.Go(func() {
			defer l.end(conn)
			if lie != nil {
				lie(conn)
				return
			}
			l.pass(conn, func(to io.Writer, from io.Reader) { io.Copy(to, from) })
		})
	}
}

func (l *liar) end(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn.Close()
	delete(l.open, conn)
}

// pass sends to the real store what the server says, and has answer send back what the store says.
func (l *liar) pass(conn net.Conn, answer func(to io.Writer, from io.Reader)) {
	store, err := net.DialTimeout("tcp", l.truth, 5*time.Second)
	if err != nil {
		return
	}
	defer store.Close()
	store.SetDeadline(time.Now().Add(time.Minute))
	var asking sync.WaitGroup
	asking.Go(func() {
		io.Copy(store, conn)
		store.Close()
	})
	answer(conn, store)
	conn.Close()
	asking.Wait()
}

// hang reads, and says nothing.
func hang(conn net.Conn) { io.Copy(io.Discard, conn) }

// hangUp closes the connection at once.
func hangUp(net.Conn) {}

// drip sends a byte every 50 ms, as long as somebody listens.
func drip(to io.Writer, text string) {
	for i := range text {
		if _, err := io.WriteString(to, text[i:i+1]); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// flooding sends the text again and again, as fast as it is read.
func flooding(to io.Writer, text string) {
	text = strings.Repeat(text, 1+64<<10/len(text))
	for range 1 << 20 {
		if _, err := io.WriteString(to, text); err != nil {
			return
		}
	}
}

// A lie is what a store says on a connection. Requests that need the store get 503.
type lie struct {
	name string
	tell func(net.Conn)
	// status is that of GET /api/session instead of 503, where what the store says is well-formed and may be true. The other
	// requests may then get anything but 500.
	status int
	// fresh has a new server hear the lie, which never heard the truth.
	fresh bool
}

// A request that needs the store.
type need struct{ method, path, form string }

// needs are in the order in which they are sent: the last ends the session.
var needs = []need{
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

// A victim is a server whose store lies.
type victim struct {
	*server
	t        *testing.T // of all lies: its end is the server's
	liar     *liar
	settings []string
	unable   []string // the paths of requests that this store's promises refuse
}

const (
	// liedMemory bounds what a server takes while its store lies. It takes some 25 MB when all is well.
	liedMemory = 128 << 20
	// liedData is where its process ends: some 100 MB are mapped and never used.
	liedData = 512 << 20
)

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

func (v *victim) hear(t *testing.T, lie lie) {
	v.liar.tell(nil)
	cookie := v.recovers(t)
	v.liar.tell(lie.tell)
	if lie.fresh {
		v.Kill()
		v.start(v.t)
	}
	v.resetMemory(t)
	if lie.status != 0 { // connections of the truth fail once
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
			if status, _ := v.ask(t, needs[0], cookie); status == lie.status {
				break
			}
		}
	}
	var together sync.WaitGroup
	for range 8 {
		together.Go(func() { v.expect(t, needs[0], cookie, lie) })
	}
	together.Wait()
	for _, need := range needs {
		if slices.Contains(v.unable, need.path) {
			continue
		}
		v.expect(t, need, cookie, lie)
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

func (v *victim) expect(t *testing.T, n need, cookie string, lie lie) {
	t.Helper()
	status, _ := v.ask(t, n, cookie)
	switch {
	case lie.status == 0 && status != http.StatusServiceUnavailable:
		t.Errorf("%s %s: %d, want 503", n.method, n.path, status)
	case lie.status != 0 && n == needs[0] && status != lie.status:
		t.Errorf("%s %s: %d, want %d", n.method, n.path, status, lie.status)
	case status == 0 || status == http.StatusInternalServerError:
		t.Errorf("%s %s: %d", n.method, n.path, status)
	}
}

// ask returns the status of the answer. That takes as long as a few operations on the store may; 0 is that there is no
// answer within ten seconds.
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
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
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
		{http.MethodPost, "/login", "user=ada"}, {http.MethodPost, "/api/visits", ""}, {http.MethodPost, "/api/scores", "score=5"}, needs[0],
	} {
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

// replying answers each command that a reader finds with what reply says, until that says nothing more.
func replying(conn net.Conn, next func() (string, error), reply func(command string) string) {
	for range 1 << 20 {
		command, err := next()
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, reply(command)); err != nil {
			return
		}
	}
}
