package load_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"stateless-servers/lab/check"
	"stateless-servers/lab/load"
	"stateless-servers/session"
	"stateless-servers/session/memory"
)

// No violation is reported of a correct fleet: with overlapping requests, while servers are killed and added, and when
// responses come after the timeout.
func TestNoFalsePositives(t *testing.T) {
	t.Parallel()
	total, failed := check.Counts{}, int64(0)
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		f := newFleet(t, hesitant{memory.New()}, 3)
		var history bytes.Buffer
		o := options(t, f.url)
		o.Rate, o.Duration, o.Timeout = parsed(t, load.ParseRate, "200"), 500*time.Millisecond, hesitation*4/5
		o.Mix = parsed(t, load.ParseMix, "none=2,read=40,write=30,cart=15,login=6,logout=7")
		test := begin(t, o)
		test.WriteHistory(&history)
		var drill sync.WaitGroup
		drill.Go(func() {
			time.Sleep(100 * time.Millisecond)
			f.kill()
			time.Sleep(100 * time.Millisecond)
			f.add()
		})
		r := do(t, test)
		drill.Wait()
		if r.Sessions.Violations() > 0 {
			t.Errorf("violations %+v are reported of a correct fleet\n%s", r.Sessions, r.Findings[0])
		}
		total, failed = total.Add(r.Sessions), failed+r.Requests-r.OK
		replay, err := check.ReadHistory(t.Context(), &history)
		if err != nil {
			t.Fatal(err)
		}
		if replay.Counts != r.Sessions {
			t.Errorf("the replay counts %+v, want %+v as in the run", replay.Counts, r.Sessions)
		}
		found := replay.CheckLinearizability(t.Context(), check.Limits{Session: 5 * time.Second, Total: time.Minute})
		if found.Violation != "" || found.Linearizable+found.Undecided != found.Sessions {
			t.Errorf("%d of %d sessions are linearizable\n%s", found.Linearizable, found.Sessions, found.Violation)
		}
	}
	if total.Total < 10 || failed == 0 {
		t.Errorf("%d sessions and %d failed requests, want at least 10 and 1", total.Total, failed)
	}
	t.Logf("%d sessions, %d failed requests", total.Total, failed)
}

// hesitation is much longer than any other response takes.
const hesitation = 1500 * time.Millisecond

// hesitant delays a few updates until after the client's timeout.
type hesitant struct{ session.Store }

func (s hesitant) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	if rand.IntN(100) == 0 {
		time.Sleep(hesitation)
	}
	return s.Store.Update(ctx, id, u)
}
