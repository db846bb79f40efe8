package revocation

import (
	"context"
	"crypto/sha256"
	"time"

	"stateless-servers/session"
)

// A List is the list of revocations that all servers share. Packages valkey and dynamodb keep one in a store, and package memory
// one in the process, for tests. Its methods are safe for concurrent use. Each is one atomic step, and Page sees every entry
// whose Add has returned.
//
// The function RunList of package sessiontest tests a List.
type List interface {
	// Add stores an entry and returns it as it is stored. If a session is on the list already, its entry stays as it is, and Add
	// returns it. A cut-off replaces the earlier one of the user. It is later than the earlier one, by at least a microsecond,
	// and expires no earlier.
	Add(ctx context.Context, entry Entry) (Entry, error)
	// CutOff returns the At of a user's latest cut-off, or the zero time if the user has none.
	CutOff(ctx context.Context, user session.ID) (time.Time, error)
	// Page returns entries whose At is since or later, in the order of At, and the cursor of the next page, which is "" on the
	// last page. The cursor of the first page is "". Expired entries may be among them. Every entry that is on the list from the
	// first page to the last is on one of the pages.
	Page(ctx context.Context, since time.Time, cursor string) (entries []Entry, next string, err error)
}

// An Entry revokes one session, or every earlier session of a user. A List keeps it until session.MaxClockSkew after Expires.
type Entry struct {
	// CutOff means that the entry revokes the sessions of a user that started before At.
	CutOff bool
	// ID is the id of the session, or of the user: see UserID.
	ID session.ID
	// At is when the entry was made, by the clock of the server that made it, in whole microseconds.
	At time.Time
	// Expires is when the last of the revoked sessions expires, in whole seconds.
	Expires time.Time
}

// UserID returns the id of a user in a List: the SHA-256 of the name, so that every id is short and the list holds no names.
func UserID(name string) session.ID { return sha256.Sum256([]byte(name)) }
