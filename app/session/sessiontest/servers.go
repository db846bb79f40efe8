package sessiontest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"stateless-servers/app/session"
)

// serverChecks run a whole session library on the store: two servers that share it, and visitors over HTTP.
func serverChecks() []Check {
	shared := func(p session.Promises) bool { return p.ReadYourWrites }
	return []Check{
		{Name: "servers: every acknowledged visit counts", Promised: func(p session.Promises) bool { return p.NoLostUpdate }, Run: checkVisits},
		{Name: "servers: each write is read on the next server", Promised: shared, Run: checkReadYourWrites},
		{Name: "servers: login renews the id", Promised: func(p session.Promises) bool { return p.LogoutIsFinal }, Run: checkLogin},
		{Name: "servers: a login loses nothing", Promised: func(p session.Promises) bool { return p.NoLostUpdate }, Run: checkLoginRace},
		{Name: "servers: logout is final for requests in flight", Promised: func(p session.Promises) bool { return p.LogoutIsFinal }, Run: checkLogoutRace},
		{Name: "servers: a client that hangs up loses no change", Run: checkHangUp},
		{Name: "servers: logout everywhere", Promised: func(p session.Promises) bool { return p.ByUser }, Run: checkLogoutEverywhere},
	}
}

const (
	visits = session.Counter("visits")
	cart   = session.Counters("cart")
)

// A lab is two servers on one store, which handlers may hold up.
type lab struct {
	servers [2]*httptest.Server
	arrived chan struct{} // /held sends when it has read its session
	release chan struct{} // and then waits for this
}

func newLab(store session.Store) (*lab, error) {
	l := &lab{arrived: make(chan struct{}, 8), release: make(chan struct{})}
	for i := range l.servers {
		manager, err := session.New(store, session.Options{
			PlainHTTP: true, Logger: slog.New(slog.DiscardHandler), StoreTimeout: 20 * time.Second,
		})
		if err != nil {
			l.close()
			return nil, err
		}
		l.servers[i] = httptest.NewServer(manager.Handler(l.routes()))
	}
	return l, nil
}

func (l *lab) close() {
	for _, server := range l.servers {
		if server != nil {
			server.Close()
		}
	}
}

// A state is what every route answers.
type state struct {
	Visits int64            `json:"visits"`
	User   string           `json:"user"`
	Cart   map[string]int64 `json:"cart"`
}

func (l *lab) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(route string, f func(ctx context.Context, s *session.Session, r *http.Request) error) {
		mux.HandleFunc("POST "+route, func(w http.ResponseWriter, r *http.Request) {
			s := session.From(r.Context())
			if err := f(r.Context(), s, r); err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
				return
			}
			if route == "/blind" {
				return
			}
			n, err := visits.Get(r.Context(), s)
			user, _ := s.User(r.Context())
			lines, _ := cart.All(r.Context(), s)
			if err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
				return
			}
			json.NewEncoder(w).Encode(state{n, user, lines})
		})
	}
	handle("/visit", func(_ context.Context, s *session.Session, _ *http.Request) error { return visits.Add(s, 1) })
	handle("/blind", func(_ context.Context, s *session.Session, _ *http.Request) error { return visits.Add(s, 1) })
	handle("/cart", func(_ context.Context, s *session.Session, r *http.Request) error {
		return cart.Counter(r.FormValue("sku")).Add(s, 1)
	})
	handle("/read", func(context.Context, *session.Session, *http.Request) error { return nil })
	handle("/login", func(ctx context.Context, s *session.Session, r *http.Request) error {
		return s.Login(ctx, r.FormValue("user"))
	})
	handle("/logout", func(ctx context.Context, s *session.Session, _ *http.Request) error { return s.Logout(ctx) })
	handle("/logout/everywhere", func(ctx context.Context, s *session.Session, _ *http.Request) error {
		return s.LogoutEverywhere(ctx)
	})
	handle("/held", func(ctx context.Context, s *session.Session, _ *http.Request) error {
		if _, _, err := s.Info(ctx); err != nil {
			return err
		}
		l.arrived <- struct{}{}
		<-l.release
		return visits.Add(s, 1)
	})
	return mux
}

// A visitor is a browser: a cookie jar.
type visitor struct {
	lab    *lab
	client http.Client
}

func (l *lab) visitor() *visitor {
	jar, _ := cookiejar.New(nil)
	return &visitor{l, http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

// post asks a server and returns the status and, of a 200, the state.
func (v *visitor) post(ctx context.Context, server int, path string) (got state, status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.lab.servers[server%2].URL+path, nil)
	if err != nil {
		return got, 0, err
	}
	response, err := v.client.Do(request)
	if err != nil {
		return got, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode == http.StatusOK && len(body) > 0 {
		err = json.Unmarshal(body, &got)
	}
	return got, response.StatusCode, err
}

// must posts and wants a 200.
func (v *visitor) must(ctx context.Context, server int, path string) (state, error) {
	got, status, err := v.post(ctx, server, path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("POST %s: status %d", path, status)
	}
	return got, err
}

func checkVisits(ctx context.Context, store session.Store) error {
	l, err := newLab(store)
	if err != nil {
		return err
	}
	defer l.close()
	v := l.visitor()
	if _, err := v.must(ctx, 0, "/visit"); err != nil {
		return err
	}
	const more = 200
	err = together(more, 16, func(i int) error {
		path := "/visit"
		if i%4 == 0 {
			path = "/blind" // the change is sent by the middleware
		}
		_, err := v.must(ctx, i, path)
		return err
	})
	if err != nil {
		return err
	}
	got, err := v.must(ctx, 1, "/read")
	if err == nil && got.Visits != more+1 {
		err = fmt.Errorf("%d visits were acknowledged, the counter says %d", more+1, got.Visits)
	}
	return err
}

func checkReadYourWrites(ctx context.Context, store session.Store) error {
	l, err := newLab(store)
	if err != nil {
		return err
	}
	defer l.close()
	v := l.visitor()
	for i := range 30 {
		if _, err := v.must(ctx, i, "/blind"); err != nil {
			return err
		}
		got, err := v.must(ctx, i+1, "/read")
		if err != nil {
			return err
		}
		if got.Visits != int64(i+1) {
			return fmt.Errorf("after visit %d the other server says %d", i+1, got.Visits)
		}
	}
	return nil
}

func checkLogin(ctx context.Context, store session.Store) error {
	l, err := newLab(store)
	if err != nil {
		return err
	}
	defer l.close()
	v, thief := l.visitor(), l.visitor()
	if _, err := v.must(ctx, 0, "/visit"); err != nil {
		return err
	}
	thief.client.Jar = copyJar(v, l)
	got, err := v.must(ctx, 1, "/login?user=ada")
	if err != nil {
		return err
	}
	if got.User != "ada" || got.Visits != 1 {
		return fmt.Errorf("after login: got %+v, want user ada with 1 visit", got)
	}
	got, err = v.must(ctx, 0, "/read")
	if err != nil || got.User != "ada" || got.Visits != 1 {
		return fmt.Errorf("on the other server: got %+v, %v, want user ada with 1 visit", got, err)
	}
	for server := range 2 {
		if got, _, err := thief.post(ctx, server, "/read"); err != nil || got.User != "" || got.Visits != 0 {
			return fmt.Errorf("the id from before the login: got %+v, %v, want an empty session", got, err)
		}
		if _, status, err := thief.post(ctx, server, "/visit"); err != nil || status != http.StatusConflict {
			return fmt.Errorf("a write with the id from before the login: status %d, %v, want 409", status, err)
		}
	}
	return nil
}

// checkLoginRace logs in while the old id is still being written to: what was acknowledged is in the new session.
func checkLoginRace(ctx context.Context, store session.Store) error {
	l, err := newLab(store)
	if err != nil {
		return err
	}
	defer l.close()
	for range 10 {
		v := l.visitor()
		if _, err := v.must(ctx, 0, "/visit"); err != nil {
			return err
		}
		old := l.visitor()
		old.client.Jar = copyJar(v, l)
		var acknowledged atomic.Int64
		acknowledged.Store(1)
		err := together(9, 5, func(i int) error {
			if i == 4 {
				_, err := v.must(ctx, 0, "/login?user=ada")
				return err
			}
			_, status, err := old.post(ctx, i, "/visit")
			if status == http.StatusOK {
				acknowledged.Add(1)
			}
			return err
		})
		if err != nil {
			return err
		}
		got, err := v.must(ctx, 1, "/read")
		if err != nil {
			return err
		}
		if got.User != "ada" || got.Visits != acknowledged.Load() {
			return fmt.Errorf("after login: got %+v, want user ada with %d visits", got, acknowledged.Load())
		}
	}
	return nil
}

func checkLogoutRace(ctx context.Context, store session.Store) error {
	l, err := newLab(store)
	if err != nil {
		return err
	}
	defer l.close()
	v := l.visitor()
	if _, err := v.must(ctx, 0, "/login?user=ada"); err != nil {
		return err
	}
	held := make(chan error, 1)
	inFlight := l.visitor()
	inFlight.client.Jar = copyJar(v, l)
	go func() {
		_, status, err := inFlight.post(ctx, 0, "/held")
		if err == nil && status != http.StatusConflict {
			err = fmt.Errorf("the request in flight: status %d, want 409", status)
		}
		held <- err
	}()
	select {
	case <-l.arrived:
	case err := <-held:
		return fmt.Errorf("the request in flight ended early: %w", err)
	}
	_, err = v.must(ctx, 1, "/logout")
	close(l.release)
	if heldErr := <-held; err == nil {
		err = heldErr
	}
	if err != nil {
		return err
	}
	for server := range 2 {
		if got, _, err := inFlight.post(ctx, server, "/read"); err != nil || got.User != "" || got.Visits != 0 {
			return fmt.Errorf("after logout: got %+v, %v, want an empty session", got, err)
		}
	}
	return nil
}

func checkHangUp(ctx context.Context, store session.Store) error {
	l, err := newLab(store)
	if err != nil {
		return err
	}
	defer l.close()
	v := l.visitor()
	if _, err := v.must(ctx, 0, "/visit"); err != nil {
		return err
	}
	gone, hangUp := context.WithCancel(ctx)
	answered := make(chan struct{})
	go func() {
		v.post(gone, 0, "/held")
		close(answered)
	}()
	<-l.arrived
	hangUp()
	<-answered
	close(l.release)
	for range 500 { // the server still has to commit
		if got, err := v.must(ctx, 1, "/read"); err != nil || got.Visits == 2 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("the change of a client that hung up is lost")
}

func checkLogoutEverywhere(ctx context.Context, store session.Store) error {
	l, err := newLab(store)
	if err != nil {
		return err
	}
	defer l.close()
	user := newID().String()
	var visitors []*visitor
	for i := range 3 {
		v := l.visitor()
		if _, err := v.must(ctx, i, "/login?user="+user); err != nil {
			return err
		}
		visitors = append(visitors, v)
	}
	if _, err := visitors[1].must(ctx, 0, "/logout/everywhere"); err != nil {
		return err
	}
	for i, v := range visitors {
		if got, err := v.must(ctx, i+1, "/read"); err != nil || got.User != "" {
			return fmt.Errorf("after logout everywhere, visitor %d: got %+v, %v, want nobody logged in", i, got, err)
		}
	}
	return nil
}

// copyJar returns a jar with the visitor's cookies of now.
func copyJar(v *visitor, l *lab) http.CookieJar {
	jar, _ := cookiejar.New(nil)
	for _, server := range l.servers {
		request, _ := http.NewRequest(http.MethodGet, server.URL, nil)
		jar.SetCookies(request.URL, v.client.Jar.Cookies(request.URL))
	}
	return jar
}
