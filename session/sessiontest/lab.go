package sessiontest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"stateless-servers/session"
)

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

func labOptions() session.Options {
	return session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler), StoreTimeout: 20 * time.Second}
}

func newLab(open Opener) (*lab, error) {
	l := &lab{arrived: make(chan struct{}, 8), release: make(chan struct{})}
	for i := range l.servers {
		manager, err := open(labOptions())
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
	handle := func(route string, f func(ctx context.Context, r *http.Request) error) {
		mux.HandleFunc("POST "+route, func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if err := f(ctx, r); err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
				return
			}
			if route == "/blind" {
				return
			}
			n, err := visits.Get(ctx)
			user, _ := session.From(ctx).User(ctx)
			lines, _ := cart.All(ctx)
			if err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
				return
			}
			json.NewEncoder(w).Encode(state{n, user, lines})
		})
	}
	visit := func(ctx context.Context, _ *http.Request) error {
		visits.Add(ctx, 1)
		return nil
	}
	handle("/visit", visit)
	handle("/blind", visit)
	handle("/cart", func(ctx context.Context, r *http.Request) error {
		cart.Counter(r.FormValue("sku")).Add(ctx, 1)
		return nil
	})
	handle("/read", func(context.Context, *http.Request) error { return nil })
	handle("/login", func(ctx context.Context, r *http.Request) error {
		return session.From(ctx).Login(ctx, r.FormValue("user"))
	})
	handle("/logout", func(ctx context.Context, _ *http.Request) error { return session.From(ctx).Logout(ctx) })
	handle("/logout/everywhere", func(ctx context.Context, _ *http.Request) error {
		return session.From(ctx).LogoutEverywhere(ctx)
	})
	handle("/held", func(ctx context.Context, r *http.Request) error {
		if _, _, err := session.From(ctx).Info(ctx); err != nil {
			return err
		}
		l.arrived <- struct{}{}
		<-l.release
		return visit(ctx, r)
	})
	return mux
}

// A visitor has a browser, whose requests go to the lab's servers.
type visitor struct {
	lab *lab
	*Client
}

func (l *lab) visitor() *visitor { return &visitor{l, NewClient()} }

// clone returns another visitor with the same cookies.
func (v *visitor) clone() *visitor { return &visitor{v.lab, v.Clone()} }

// post asks a server and returns the status and, of a 200, the state.
func (v *visitor) post(ctx context.Context, server int, path string) (got state, status int, err error) {
	response, err := v.Do(ctx, http.MethodPost, v.lab.servers[server%2].URL+path, "")
	if err != nil {
		return got, 0, err
	}
	if response.StatusCode == http.StatusOK && response.Body != "" {
		err = json.Unmarshal([]byte(response.Body), &got)
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
