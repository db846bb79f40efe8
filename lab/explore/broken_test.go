package explore_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/explore"
	"stateless-servers/session"
	"stateless-servers/session/sessiontest/broken"
	"stateless-servers/session/sessiontest/process"
	"stateless-servers/session/valkey"
)

// defects are the stores of package broken whose defects the contract's requests can show, each with a scenario that does, and
// the promise that it breaks. The defects of the others need several users, long lists, time, or memory that servers share.
var defects = []struct {
	name     string
	wrap     func(session.Store) session.Store
	scenario string
	promise  explore.Promise
}{
	{"none", func(s session.Store) session.Store { return s }, "", ""},
	{"WritesWholeSession", broken.WritesWholeSession, "visits + cart", explore.LostUpdate},
	{"RetriesUpdates", broken.RetriesUpdates, "visits", explore.AppliedTwice},
	{"IgnoresErrors", broken.IgnoresErrors, "visits", explore.LostUpdate},
	{"RenewsInSteps", broken.RenewsInSteps, "login", explore.SessionLost},
	{"ForgetsRenewedSessions", broken.ForgetsRenewedSessions, "login", explore.SessionLost},
}

// TestMain runs a server with a broken store in the place of the tests if the environment says so: the explorer needs servers
// that are processes.
func TestMain(m *testing.M) {
	name := os.Getenv("BROKEN_STORE")
	if name == "" {
		os.Exit(m.Run())
	}
	for _, d := range defects {
		if d.name == name {
			slog.Error("the server ended", "error", serveContract(d.wrap))
		}
	}
	os.Exit(1)
}

// serveContract serves the lab's contract with a store that is wrapped.
func serveContract(wrap func(session.Store) session.Store) error {
	store := wrap(valkey.New(valkey.Options{Address: os.Getenv("STORE_ADDRESS")}))
	manager, err := session.New(store, session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	visits, coffee := session.Counter("visits"), session.Counter("coffee")
	mux := http.NewServeMux()
	handle := func(pattern string, do func(ctx context.Context, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.Context(), r); err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
			}
		})
	}
	handle("GET /healthz", func(context.Context, *http.Request) error { return nil })
	handle("POST /api/visits", func(ctx context.Context, _ *http.Request) error { visits.Add(ctx, 1); return nil })
	handle("POST /api/cart/coffee", func(ctx context.Context, _ *http.Request) error { coffee.Add(ctx, 1); return nil })
	handle("POST /login", func(ctx context.Context, r *http.Request) error {
		return session.From(ctx).Login(ctx, r.FormValue("user"), session.Remember(true))
	})
	handle("POST /logout", func(ctx context.Context, _ *http.Request) error { return session.From(ctx).Logout(ctx) })
	mux.HandleFunc("GET /api/session", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		n, err := visits.Get(ctx)
		var cups int64
		if err == nil {
			cups, err = coffee.Get(ctx)
		}
		user := ""
		if err == nil {
			user, err = session.From(ctx).User(ctx)
		}
		if err != nil {
			http.Error(w, err.Error(), session.StatusCode(err))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"visits": n, "user": user, "cart": map[string]int64{"coffee": cups}})
	})
	server := http.Server{Addr: os.Getenv("SERVER_ADDRESS"), Handler: manager.Handler(mux), ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

func TestBrokenStoresAreFound(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	target, err := explore.Sample(program, startStore(t, config.StoreValkey))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			target := target
			target.Start = func(name, storeAddr string) (string, *process.Process, error) {
				address, err := freeAddress()
				if err != nil {
					return "", nil, err
				}
				p, err := process.Start(process.Command{Name: name, Path: program, Env: []string{
					"BROKEN_STORE=" + d.name, "STORE_ADDRESS=" + storeAddr, "SERVER_ADDRESS=" + address,
				}})
				return "http://" + address, p, err
			}
			o := options(2)
			o.Parallel = 2
			if d.promise == "" {
				o.MaxFaults = 0
				keepsPromises(t, target, o)
				return
			}
			if o.Only = d.scenario; strings.Contains(d.scenario, "+") {
				o.MaxFaults = 0
			}
			scenarios, err := explore.Explore(t.Context(), target, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range scenarios[0].Findings {
				if f.Promise == d.promise {
					return
				}
			}
			t.Errorf("%s: found %+v, want a schedule that breaks %q", d.scenario, scenarios[0].Findings, d.promise)
		})
	}
}
