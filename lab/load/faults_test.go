package load_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/lab/check"
	"stateless-servers/lab/load"
	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest/broken"
)

// Every kind of violation is found, and counted as its kind.
func TestFaultsAreFound(t *testing.T) {
	tests := []struct {
		name  string
		store session.Store
		mix   string
		count func(check.Counts) int64
		text  string
		also  func(check.Counts) int64 // other violations that such a store may cause
	}{
		{
			"the store evicts sessions", &evicting{Store: memory.New(), uses: map[session.ID]int{}}, "read=4,write=4,cart=2",
			func(c check.Counts) int64 { return c.Lost }, "was lost without a logout", nil,
		},
		{
			"the store writes the whole session back", broken.WritesWholeSession(slow{memory.New()}), "read=4,write=4,cart=2",
			func(c check.Counts) int64 { return c.LostUpdates }, "of the acknowledged additions to",
			// Writing back an old session may also restore an addition that another write had removed.
			func(c check.Counts) int64 { return c.StaleReads },
		},
		{
			"the store reads a lagging copy", broken.ReadsStale(memory.New()), "read=4,write=4,cart=2",
			func(c check.Counts) int64 { return c.StaleReads }, "was read in an old state", nil,
		},
		{
			"the store mixes sessions up", &crossing{Store: memory.New()}, "read=4,write=4,cart=2",
			func(c check.Counts) int64 { return c.CrossSessionLeaks }, "got another session's data",
			// Another user's session without a mark looks like an old state of the own session.
			func(c check.Counts) int64 { return c.StaleReads + c.LostUpdates },
		},
		{
			"an update brings an ended session back", ghosts{slow{broken.RevivesEndedSessions(memory.New())}}, "read=2,write=6,logout=2",
			func(c check.Counts) int64 { return c.AliveAfterLogout }, "was alive after its logout", nil,
		},
		{
			"an addition is sent again", &repeating{Store: memory.New()}, "read=4,write=4,cart=2",
			func(c check.Counts) int64 { return c.CrossSessionLeaks }, "a request applied twice", nil,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, newFleet(t, test.store, 2).url)
			o.Mix, o.Sessions = parsed(t, load.ParseMix, test.mix), 10
			misnamed := func(c check.Counts) int64 {
				n := c.Violations() - test.count(c)
				if test.also != nil {
					n -= test.also(c)
				}
				return n
			}
			r := runUntil(t, o, func(r load.Result) bool { return test.count(r.Sessions) > 0 || misnamed(r.Sessions) > 0 })
			if test.count(r.Sessions) == 0 {
				t.Errorf("the violation is not counted: %+v", r.Sessions)
			}
			if misnamed(r.Sessions) > 0 {
				t.Errorf("other kinds of violations are counted, too: %+v", r.Sessions)
			}
			explained := slices.IndexFunc(r.Findings, func(text string) bool { return strings.Contains(text, test.text) })
			if explained < 0 || !strings.Contains(r.Findings[explained], "server-") {
				t.Fatalf("the findings are %q, want an explanation with %q", r.Findings, test.text)
			}
			t.Logf("%+v\n%s", r.Sessions, r.Findings[explained])
		})
	}
}

// evicting drops every third session after a few uses, as a full cache does.
type evicting struct {
	session.Store
	mu      sync.Mutex
	created int
	uses    map[session.ID]int // the remaining uses of the sessions to drop
}

func (s *evicting) add(id session.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.created++; s.created%3 == 0 {
		s.uses[id] = 4
	}
}

func (s *evicting) Create(ctx context.Context, id session.ID, r session.Record) error {
	s.add(id)
	return s.Store.Create(ctx, id, r)
}

func (s *evicting) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	if err := s.use(r.Old); err != nil {
		return session.Record{}, err
	}
	s.add(r.New)
	return s.Store.Renew(ctx, r)
}

func (s *evicting) use(id session.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	left, doomed := s.uses[id]
	if !doomed {
		return nil
	}
	if left == 0 {
		return session.ErrNotFound
	}
	s.uses[id]--
	return nil
}

func (s *evicting) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	if err := s.use(id); err != nil {
		return session.Record{}, err
	}
	return s.Store.Load(ctx, id, now)
}

func (s *evicting) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	if err := s.use(id); err != nil {
		return session.Record{}, err
	}
	return s.Store.Update(ctx, id, u)
}

// crossing answers every tenth read with the record of the previous read, as a cache with a wrong key does.
type crossing struct {
	session.Store
	mu    sync.Mutex
	reads int
	from  session.ID // of last
	last  session.Record
}

func (s *crossing) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	record, err := s.Store.Load(ctx, id, now)
	if err != nil {
		return record, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, before := s.from, s.last
	s.from, s.last = id, record
	if s.reads++; s.reads%10 == 0 && from != id {
		return before, nil
	}
	return record, nil
}

// slow delays updates, so that other requests overlap with them.
type slow struct{ session.Store }

func (s slow) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	time.Sleep(20 * time.Millisecond)
	return s.Store.Update(ctx, id, u)
}

// ghosts removes the user from sessions, so that a recreated session is not taken for another user's.
type ghosts struct{ session.Store }

func (s ghosts) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	record, err := s.Store.Load(ctx, id, now)
	record.User = ""
	return record, err
}

// repeating applies every tenth update twice, as a client that retries does.
type repeating struct {
	session.Store
	mu      sync.Mutex
	updates int
}

func (s *repeating) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	s.mu.Lock()
	s.updates++
	again := s.updates%10 == 0
	s.mu.Unlock()
	record, err := s.Store.Update(ctx, id, u)
	if again && err == nil {
		return s.Store.Update(ctx, id, u)
	}
	return record, err
}
