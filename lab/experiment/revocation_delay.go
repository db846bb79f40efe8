package experiment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/load"
)

const (
	logouts         = 60                    // per store, each seen by every other server
	parallelLogouts = 6                     // at a time
	copyInterval    = 20 * time.Millisecond // between two uses of a copy
	// hangTime is how long the store of the list hangs. With the poll before, it is shorter than the bound, beyond which servers
	// refuse tokens.
	hangTime     = 3 * time.Second
	hangRequests = 100 // per server, while the store hangs
)

// measure measures, under load, how long other servers accept a token after its logout on one server, and that requests are served
// while the store of the list hangs.
func (e tokenRevocation) measure(ctx context.Context, runner *Runner, o *Observation) error {
	if len(e.revoked) == 0 {
		return nil
	}
	bound := config.Default().TokenRevocationWithin
	o.set("with a list of revoked tokens", "%d logouts for each store, each on one server while its copy asks the %d others every "+
		"%v; %s", logouts, e.revoked[0].servers-1, copyInterval, "100 requests per second meanwhile, most of them reads")
	delays := Table{
		Title:   "From the response to a logout until the other servers refuse the token, in ms",
		Columns: []string{"sessions in", "logouts", "p50", "p99", "maximum"},
	}
	calls := Table{
		Title:   fmt.Sprintf("Requests with a session while the store of the list hangs for %v", hangTime),
		Columns: []string{"sessions in", "requests", "answered with the session", "store calls per request"},
	}
	for _, s := range e.revoked {
		took, answered, err := e.revoke(ctx, runner, s)
		if err != nil {
			return err
		}
		slices.Sort(took)
		at := func(share float64) float64 { return ms(took[int(share*float64(len(took)-1))]) }
		delays.Rows = append(delays.Rows, []any{s.String(), logouts, at(0.5), at(0.99), at(1)})
		o.assertAtMost("longest time until a token is refused with "+s.String()+", in ms", at(1), ms(bound))
		asked := hangRequests * s.servers
		needed := "0"
		if answered < asked {
			needed = "more than 0"
		}
		calls.Rows = append(calls.Rows, []any{s.String(), asked, answered, needed})
		o.assertAtLeast("requests answered while the store hangs with "+s.String(), float64(answered), float64(asked))
	}
	o.Tables = append(o.Tables, delays, calls)
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()/100) / 10 }

// revoke returns the times until each other server refused a token, and the number of requests that were answered with a session
// while the store hung.
func (e tokenRevocation) revoke(ctx context.Context, runner *Runner, s setup) (took []time.Duration, answered int, err error) {
	env, err := runner.open(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	defer env.Close()
	runner.Report("logging out under load")
	o := visitors()
	o.Mix = load.Mix{0, 95, 0, 0, 5, 0} // reads and logins, because a token begins with a login
	_, err = env.runUnderLoad(ctx, o, func(ctx context.Context) error {
		if took, err = env.logOut(ctx); err != nil {
			return err
		}
		answered, err = env.useWhileStoreHangs(ctx)
		return err
	})
	return took, answered, err
}

// logOut logs visitors out, each on one server in turn, and returns how long each of the others accepted the token.
func (env *environment) logOut(ctx context.Context) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	errs := make([]error, parallelLogouts)
	var workers sync.WaitGroup
	for worker := range parallelLogouts {
		workers.Go(func() {
			for i := worker; i < logouts && errs[worker] == nil; i += parallelLogouts {
				// The times of polls and logouts must be independent.
				errs[worker] = pause(ctx, rand.N(2*time.Second)) // #nosec G404
				if errs[worker] != nil {
					return
				}
				delays, err := env.logOutOne(ctx, i)
				errs[worker] = err
				mu.Lock()
				took = append(took, delays...)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return took, errors.Join(errs...)
}

func (env *environment) logOutOne(ctx context.Context, i int) ([]time.Duration, error) {
	servers := env.fleet.Servers()
	owner := newClient("http://" + servers[i%len(servers)].Address)
	if _, err := owner.must(ctx, http.MethodPost, "/login", url.Values{"user": {fmt.Sprintf("ada-%d", i)}}); err != nil {
		return nil, err
	}
	var thieves []*client
	for j, server := range servers {
		if j == i%len(servers) {
			continue
		}
		thief := owner.copy()
		thief.url = "http://" + server.Address
		if r, err := thief.must(ctx, http.MethodGet, "/api/session", nil); err != nil || r.state().User == "" {
			return nil, errors.Join(errors.New("a copy is refused before the logout"), err)
		}
		thieves = append(thieves, thief)
	}
	if _, err := owner.must(ctx, http.MethodPost, "/logout", nil); err != nil {
		return nil, err
	}
	since := time.Now()
	delays := make([]time.Duration, len(thieves))
	errs := make([]error, len(thieves))
	var waiting sync.WaitGroup
	for j, thief := range thieves {
		waiting.Go(func() { delays[j], errs[j] = thief.awaitRefusal(ctx, since) })
	}
	waiting.Wait()
	return delays, errors.Join(errs...)
}

// maxAcceptance bounds the wait for a server that never refuses a token.
const maxAcceptance = 20 * time.Second

// awaitRefusal uses a copied token until the server refuses it, and returns the time since the logout.
func (c *client) awaitRefusal(ctx context.Context, since time.Time) (time.Duration, error) {
	for time.Since(since) < maxAcceptance {
		r, err := c.must(ctx, http.MethodGet, "/api/session", nil)
		if err != nil {
			return 0, err
		}
		if r.state().User == "" {
			return time.Since(since), nil
		}
		if err := pause(ctx, copyInterval); err != nil {
			return 0, err
		}
	}
	return maxAcceptance, nil
}

// useWhileStoreHangs stops the store of the list and returns the number of requests that were answered with a session meanwhile.
func (env *environment) useWhileStoreHangs(ctx context.Context) (answered int, err error) {
	servers := env.fleet.Servers()
	visitor := newClient("http://" + servers[0].Address)
	if _, err := visitor.must(ctx, http.MethodPost, "/login", url.Values{"user": {"bob"}}); err != nil {
		return 0, err
	}
	if err := env.store.Server.Pause(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, env.store.Server.Resume()) }()
	ctx, cancel := context.WithTimeout(ctx, hangTime)
	defer cancel()
	for range hangRequests {
		for _, server := range servers {
			visitor.url = "http://" + server.Address
			if visitor.do(ctx, http.MethodGet, "/api/session", nil).state().User == "bob" {
				answered++
			}
		}
	}
	return answered, nil
}
