package session

import (
	"context"
	"crypto/rand"
	"time"
)

// A backend is where a Manager's sessions are: in a Store, or with the visitors.
type backend interface {
	// refer tells whether a cookie's value may refer to a session; what may not is never asked about.
	refer(value string) (reference, bool)
	load(ctx context.Context, ref reference, now time.Time) (reference, Record, error)
	create(ctx context.Context, record Record) (reference, error)
	update(ctx context.Context, ref reference, update Update) (reference, Record, error)
	end(ctx context.Context, ref reference, now time.Time) (Record, error)
	ping(ctx context.Context) error
}

// A userBackend can tell which sessions a user has.
type userBackend interface {
	userSessions(ctx context.Context, user string, now time.Time) ([]UserSession, error)
}

// A reference is how a visitor refers to a session: the value of the cookie. A sealed session's id is known when it is
// open.
type reference struct {
	value string
	id    ID
}

// inStore keeps sessions in a Store. The cookie holds a secret, the store knows its hash.
type inStore struct{ Store }

func (b inStore) refer(value string) (reference, bool) {
	token, ok := parseToken(value)
	return reference{value, token.id()}, ok
}

func (b inStore) load(ctx context.Context, ref reference, now time.Time) (reference, Record, error) {
	record, err := b.Load(ctx, ref.id, now)
	return ref, record, err
}

func (b inStore) create(ctx context.Context, record Record) (reference, error) {
	token := newToken()
	ref := reference{string(token), token.id()}
	return ref, b.Create(ctx, ref.id, record)
}

func (b inStore) update(ctx context.Context, ref reference, update Update) (reference, Record, error) {
	record, err := b.Update(ctx, ref.id, update)
	return ref, record, err
}

func (b inStore) end(ctx context.Context, ref reference, now time.Time) (Record, error) {
	return b.End(ctx, ref.id, now)
}

func (b inStore) ping(ctx context.Context) error { return b.Ping(ctx) }

// inUserStore is inStore for a store that can tell a user's sessions.
type inUserStore struct {
	inStore
	users UserStore
}

func (b inUserStore) userSessions(ctx context.Context, user string, now time.Time) ([]UserSession, error) {
	return b.users.UserSessions(ctx, user, now)
}

// sealed keeps sessions with their visitors. Nothing is shared, so that every operation is a computation, and the last
// cookie that a browser gets wins.
type sealed struct{ Sealer }

func (b sealed) refer(value string) (reference, bool) { return reference{value: value}, value != "" }

func (b sealed) load(_ context.Context, ref reference, now time.Time) (reference, Record, error) {
	id, record, err := b.Open(ref.value, now)
	return reference{ref.value, id}, record, err
}

func (b sealed) create(_ context.Context, record Record) (ref reference, err error) {
	rand.Read(ref.id[:])
	ref.value, err = b.Seal(ref.id, record)
	return ref, err
}

func (b sealed) update(_ context.Context, ref reference, update Update) (reference, Record, error) {
	id, record, err := b.Open(ref.value, update.Now)
	if err != nil {
		return ref, Record{}, err
	}
	if record.Values, err = Apply(record.Values, update.Changes); err != nil {
		return ref, Record{}, err
	}
	record.IdleExpires = update.IdleExpires
	value, err := b.Seal(id, record)
	return reference{value, id}, record, err
}

// end can only report the last state: a copy of the cookie stays good until it expires.
func (b sealed) end(_ context.Context, ref reference, now time.Time) (Record, error) {
	_, record, err := b.Open(ref.value, now)
	return record, err
}

func (b sealed) ping(context.Context) error { return nil }
