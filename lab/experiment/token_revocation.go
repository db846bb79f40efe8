package experiment

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"stateless-servers/app/config"
)

// tokenRevocation copies the cookies of visitors, logs the visitors out, and uses the copies. On the setups in revoked it measures
// how long the other servers accept a copy.
type tokenRevocation struct{ client, server, revoked []setup }

func newTokenRevocation() tokenRevocation {
	e := tokenRevocation{client: []setup{{store: config.StoreToken, servers: 3}, {store: config.StoreCookie, servers: 3}}}
	for _, kind := range sharedStores() {
		e.server = append(e.server, setup{store: kind, servers: 3})
	}
	for _, kind := range []config.StoreKind{config.StoreValkey, config.StoreDynamoDB} {
		e.revoked = append(e.revoked, setup{store: config.StoreToken, revocation: kind, servers: 3})
	}
	return e
}

func (tokenRevocation) Name() string { return "token-revocation" }

func (tokenRevocation) Claim() string {
	return "A copy of a signed token, or of a session in a sealed cookie, is still accepted by every server after " +
		"logout. With a list of revoked tokens every server refuses it within 5 seconds, and a request costs no store " +
		"call. With a session in a store the copy is useless at once."
}

// thefts is the number of visitors whose cookies are copied.
const thefts = 20

func (e tokenRevocation) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "To log users out or to ban one at once, servers need state: a session, or a list of " +
		"revoked tokens that every server follows."}
	o.set("fleet", "%d servers, which requests reach in turn", e.client[0].servers)
	o.set("visitors", "%d who log in, have their cookies copied, and log out; then the copy asks every server who "+
		"it is", thefts)
	table := Table{
		Title:   fmt.Sprintf("Copies that are still logged in, of %d", thefts),
		Columns: []string{"sessions in", "accepted", "by servers"},
	}
	for i, s := range append(append([]setup{}, e.client...), e.server...) {
		accepted, servers, err := e.steal(ctx, runner, s)
		if err != nil {
			return o, err
		}
		table.Rows = append(table.Rows, []any{s.String(), accepted, servers})
		what := "copies accepted after logout with " + s.String()
		if i < len(e.client) {
			o.assertAtLeast(what, float64(accepted), thefts)
			o.assertAtLeast("servers that accept them with "+s.String(), float64(servers), float64(s.servers))
		} else {
			o.assertAtMost(what, float64(accepted), 0)
		}
	}
	o.Tables = append(o.Tables, table)
	return o, e.measure(ctx, runner, &o)
}

// steal returns the number of accepted copies, and of servers that accepted one.
func (tokenRevocation) steal(ctx context.Context, runner *Runner, s setup) (accepted, servers int, err error) {
	env, err := runner.open(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	defer env.Close()
	runner.Report("using copied cookies")
	by := map[string]bool{}
	for i := range thefts {
		user := fmt.Sprintf("ada-%d", i)
		b := newClient(env.url)
		if _, err := b.must(ctx, http.MethodPost, "/login", url.Values{"user": {user}}); err != nil {
			return 0, 0, err
		}
		thief := b.copy()
		if _, err := b.must(ctx, http.MethodPost, "/logout", nil); err != nil {
			return 0, 0, err
		}
		known := 0
		for range s.servers {
			r, err := thief.must(ctx, http.MethodGet, "/api/session", nil)
			if err != nil {
				return 0, 0, err
			}
			if r.state().User == user {
				known++
				by[r.server] = true
			}
		}
		if known > 0 {
			accepted++
		}
	}
	return accepted, len(by), nil
}
