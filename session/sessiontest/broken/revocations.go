package broken

import (
	"context"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/revocation"
)

// PollsWithoutOverlap returns a list as a follower sees it that reads only what is newer than its previous poll. It misses the
// entries of servers whose clocks are behind.
func PollsWithoutOverlap(list revocation.List) revocation.List { return overlapless{list} }

// ForgetsPages returns a list as a follower sees it that reads only the first page.
func ForgetsPages(list revocation.List) revocation.List { return firstPage{list} }

// RevokesAgain returns a list that doesn't tell a request that the session was revoked before. A session then survives its logout
// if it gets a new id at the same time.
func RevokesAgain(list revocation.List) revocation.List { return revoker{list} }

// TrustsClocks returns a list that stores a cut-off at the time of the server's clock. A cut-off of a server whose clock is behind
// then spares sessions that started before it.
func TrustsClocks(list revocation.List) revocation.List { return truster{list} }

type overlapless struct{ revocation.List }

func (l overlapless) Page(ctx context.Context, since time.Time, cursor string) ([]revocation.Entry, string, error) {
	if !since.IsZero() {
		since = since.Add(session.EndedFor)
	}
	return l.List.Page(ctx, since, cursor)
}

type firstPage struct{ revocation.List }

func (l firstPage) Page(ctx context.Context, since time.Time, cursor string) ([]revocation.Entry, string, error) {
	entries, _, err := l.List.Page(ctx, since, cursor)
	return entries, "", err
}

type revoker struct{ revocation.List }

func (l revoker) Add(ctx context.Context, entry revocation.Entry) (revocation.Entry, error) {
	stored, err := l.List.Add(ctx, entry)
	if !entry.CutOff {
		stored = entry
	}
	return stored, err
}

type truster struct{ revocation.List }

func (l truster) Add(ctx context.Context, entry revocation.Entry) (revocation.Entry, error) {
	_, err := l.List.Add(ctx, entry)
	return entry, err
}
