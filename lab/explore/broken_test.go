package explore_test

import (
	"strings"
	"testing"

	"stateless-servers/app/config"
	"stateless-servers/lab/explore"
	"stateless-servers/session"
	"stateless-servers/session/sessiontest/broken"
)

// defects are the stores of package broken whose defects the test server's requests can show, each with a scenario that does,
// and the promise that it breaks. The defects of the others need several users, long lists, time, or memory that servers share.
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
	{"IgnoresConditions", broken.IgnoresConditions, "pop + pop", explore.TakenTwice},
}

func TestBrokenStoresAreFound(t *testing.T) {
	store := startStore(t, config.StoreValkey)
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			target := serving(t, d.name, store)
			o := options(2)
			o.Parallel = 2
			if d.promise == "" {
				o.MaxFaults = 0
				keepsPromises(t, target, o)
				return
			}
			if d.promise == explore.TakenTwice {
				target.Requests = append(target.Requests, notices()...)
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
