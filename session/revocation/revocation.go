// Package revocation ends sessions that are kept in visitors' cookies, such as signed tokens, before they expire. Without it a
// copy of a token is valid until its expiry, whatever its user does.
//
// The servers share a small List of the sessions that have ended (logout) and of cut-off times by user (logout everywhere, ban):
// a user's sessions that started before the cut-off are void. Every server keeps the list in its memory and follows it in the
// background, so a request that uses its session makes no store call. A login makes one, and so does a logout. Start reading at
// Follower:
//
//	store := valkey.New(valkey.Options{Address: "…"})
//	revoked, err := revocation.New(store.Revocations(), revocation.Options{})
//	…
//	go revoked.Follow(ctx, func(err error) { log.Print(err) })
//	manager, err := session.NewWithCodec(revoked.Codec(codec), session.Options{})
//
// # Bounds
//
// Logout and Manager.EndUserSessions return nil only when the list has stored the entry. From then on this server refuses the
// session at once, and every other server after Options.Within (5 seconds by default). That holds even while the list can't be
// read: a server that has not read it for longer than Within doesn't know what was revoked, and refuses every session with 503.
// The Option AcceptStale accepts them instead. A new server is ready, see Manager.Ping, when it has read the whole list.
//
// The clocks of servers may differ by session.MaxClockSkew. A poll therefore reads again what the last session.EndedFor before
// the previous poll added. A cut-off is void for sessions whose login took place after it, however the clocks are set: a login
// asks the list for the latest cut-off of its user, and the session states it.
//
// # Size
//
// An entry takes about 300 bytes in Valkey, DynamoDB or the memory of a server, until the revoked session expires. 100,000
// logouts per day with sessions of 24 hours keep 100,000 entries. The benchmarks of this module measure it:
//
//	go test ./valkey ./dynamodb -run '^$' -bench Revocations -benchtime 100000x
package revocation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stateless-servers/session"
)

// Options configure a Follower. The zero value of each field means its default.
type Options struct {
	// Within is the time after which every server refuses a revoked session; default 5 seconds, allowed 100 ms to 1 minute. A
	// server reads the list three times in it.
	Within time.Duration
	// AcceptStale makes a server that could not read the list for longer than Within accept sessions that it doesn't know to be
	// revoked. By default it refuses all sessions with 503.
	AcceptStale bool
	// Now returns the current time; default time.Now.
	Now func() time.Time
}

// pollsWithin is the number of polls in Options.Within: one may fail and one may be slow.
const pollsWithin = 3

// overlap is the time before the previous poll that a poll reads again. The clock of the server that made an entry may be behind
// by MaxClockSkew, and the entry may have been on its way for as long as a request may be in flight.
const overlap = session.EndedFor

// pruneInterval is the interval at which a Follower forgets entries that have expired.
const pruneInterval = 10 * time.Minute

// A Follower keeps the entries of a List in memory. Create one with New, run Follow in the background, and pass the result of
// Codec to session.NewWithCodec. Its methods are safe for concurrent use.
type Follower struct {
	list    List
	options Options
	polling sync.Mutex // one poll at a time

	mu       sync.RWMutex
	sessions map[session.ID]Entry
	users    map[session.ID]Entry
	read     time.Time // when the last successful poll began; zero before the first
	pruned   time.Time
}

// New returns a Follower of a list. It returns an error if an option is out of its range.
func New(list List, options Options) (*Follower, error) {
	if options.Within == 0 {
		options.Within = 5 * time.Second
	}
	if options.Within < 100*time.Millisecond || options.Within > time.Minute {
		return nil, fmt.Errorf("revocation option Within is %v: allowed is 100ms to 1m", options.Within)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Follower{
		list: list, options: options, pruned: time.Now(),
		sessions: map[session.ID]Entry{}, users: map[session.ID]Entry{},
	}, nil
}

// Follow reads the list until ctx ends, three times in Options.Within. It calls report with the error when reading begins to
// fail, and again after it has succeeded in between.
func (f *Follower) Follow(ctx context.Context, report func(error)) {
	failing := false
	interval := time.NewTicker(f.interval())
	defer interval.Stop()
	for ctx.Err() == nil {
		err := f.Poll(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			report(err)
		}
		failing = err != nil
		select {
		case <-interval.C:
		case <-ctx.Done():
		}
	}
}

func (f *Follower) interval() time.Duration { return f.options.Within / pollsWithin }

// Poll reads the entries that were added since the previous poll, or the whole list, page by page. Follow calls it. Each page
// may take a third of Options.Within.
func (f *Follower) Poll(ctx context.Context) error {
	f.polling.Lock()
	defer f.polling.Unlock()
	begun := f.options.Now()
	f.mu.RLock()
	since := f.read
	f.mu.RUnlock()
	if !since.IsZero() {
		since = since.Add(-overlap)
	}
	for cursor := ""; ; {
		entries, next, err := f.page(ctx, since, cursor)
		if err != nil {
			return fmt.Errorf("read the list of revoked sessions: %w", err)
		}
		f.learn(entries...)
		if next == "" {
			break
		}
		cursor = next
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = begun
	f.prune(begun)
	return nil
}

func (f *Follower) page(ctx context.Context, since time.Time, cursor string) ([]Entry, string, error) {
	ctx, cancel := context.WithTimeout(ctx, f.interval())
	defer cancel()
	return f.list.Page(ctx, since, cursor)
}

// learn adds entries to the memory.
func (f *Follower) learn(entries ...Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, entry := range entries {
		if !entry.CutOff {
			f.sessions[entry.ID] = entry
		} else if known := f.users[entry.ID]; entry.At.After(known.At) {
			f.users[entry.ID] = entry
		}
	}
}

// prune forgets entries that have expired on every server.
func (f *Follower) prune(now time.Time) {
	if now.Sub(f.pruned) < pruneInterval {
		return
	}
	f.pruned = now
	for _, entries := range []map[session.ID]Entry{f.sessions, f.users} {
		for id, entry := range entries {
			if now.After(entry.Expires.Add(session.MaxClockSkew)) {
				delete(entries, id)
			}
		}
	}
}

var errStale = errors.New("the list of revoked sessions has not been read in time")

// check returns nil if a session is not revoked, and session.ErrEnded or session.ErrNotFound if it is.
func (f *Follower) check(id session.ID, record session.Record, now time.Time) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	entry, revoked := f.sessions[id]
	if !revoked && record.User != "" && len(f.users) > 0 {
		entry, revoked = f.users[UserID(record.User)]
		revoked = revoked && void(record, entry.At)
	}
	switch {
	case revoked && now.Before(entry.At.Add(session.EndedFor)):
		return session.ErrEnded
	case revoked:
		return session.ErrNotFound
	case !f.options.AcceptStale && f.stale():
		return errStale
	}
	return nil
}

// stale reports whether the list has not been read within Options.Within. The caller holds mu.
func (f *Follower) stale() bool {
	return f.read.IsZero() || f.options.Now().Sub(f.read) > f.options.Within
}
