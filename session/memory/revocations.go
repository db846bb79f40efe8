package memory

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/revocation"
)

// Revocations is a revocation.List in the memory of one process, for tests. It keeps every entry. Create one with
// NewRevocations.
type Revocations struct {
	mu      sync.Mutex
	entries map[revocationKey]revocation.Entry
}

type revocationKey struct {
	cutOff bool
	id     session.ID
}

var _ revocation.List = (*Revocations)(nil)

// NewRevocations returns an empty list.
func NewRevocations() *Revocations {
	return &Revocations{entries: map[revocationKey]revocation.Entry{}}
}

// Add stores an entry.
func (r *Revocations) Add(_ context.Context, entry revocation.Entry) (revocation.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := revocationKey{entry.CutOff, entry.ID}
	if earlier, ok := r.entries[key]; ok {
		if !entry.CutOff {
			return earlier, nil
		}
		if !entry.At.After(earlier.At) {
			entry.At = earlier.At.Add(time.Microsecond)
		}
		if entry.Expires.Before(earlier.Expires) {
			entry.Expires = earlier.Expires
		}
	}
	r.entries[key] = entry
	return entry, nil
}

// CutOff returns the latest cut-off of a user.
func (r *Revocations) CutOff(_ context.Context, user session.ID) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.entries[revocationKey{true, user}].At, nil
}

// Page returns session.MaxPage entries, and further ones with the same At as the last. The cursor is this At, in microseconds.
func (r *Revocations) Page(_ context.Context, since time.Time, cursor string) (page []revocation.Entry, next string, err error) {
	if cursor != "" {
		micros, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil {
			return nil, "", session.ErrInvalid
		}
		since = time.UnixMicro(micros + 1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, entry := range r.entries {
		if !entry.At.Before(since) {
			page = append(page, entry)
		}
	}
	slices.SortFunc(page, func(a, b revocation.Entry) int { return a.At.Compare(b.At) })
	for i := session.MaxPage; i < len(page); i++ {
		if last := page[i-1].At; !page[i].At.Equal(last) {
			return page[:i], strconv.FormatInt(last.UnixMicro(), 10), nil
		}
	}
	return page, "", nil
}
