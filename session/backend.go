package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// A backend is where a Manager's sessions are: in a Store, or with the visitors.
type backend interface {
	// refer returns the reference in a cookie's value, and whether the value has the right form. A store is never asked
	// about a value that hasn't.
	refer(value string) (reference, bool)
	load(ctx context.Context, ref reference, now time.Time) (reference, Record, error)
	create(ctx context.Context, ref reference, record Record) (reference, error)
	update(ctx context.Context, ref reference, update Update) (reference, Record, error)
	// renew renews the session of ref to the id of fresh, and returns those of the changes that it has not applied. It
	// fills in the renewal's Old and New.
	renew(ctx context.Context, ref, fresh reference, renewal Renewal, changes []Change) (reference, Record, []Change, error)
	end(ctx context.Context, ref reference, now time.Time) error
	// fresh returns a reference that was never used, to which old can be renewed; old is empty for a first session.
	fresh(ctx context.Context, old reference) (reference, error)
	ping(ctx context.Context) error
}

// A userBackend can list the sessions of a user.
type userBackend interface {
	userSessions(ctx context.Context, user string, query PageQuery) (Page, error)
}

// A reference is how a visitor refers to a session: the value of the cookie. A sealed session's id is known when it is
// open.
type reference struct {
	value string
	id    ID
}

// serverSide keeps sessions in a Store. The cookie holds a secret, the store knows its hash.
type serverSide struct{ Store }

func (b serverSide) refer(value string) (reference, bool) {
	token, ok := parseToken(value)
	return reference{value, token.id()}, ok
}

func (b serverSide) load(ctx context.Context, ref reference, now time.Time) (reference, Record, error) {
	record, err := b.Load(ctx, ref.id, now)
	return ref, record, err
}

func (b serverSide) create(ctx context.Context, ref reference, record Record) (reference, error) {
	return ref, b.Create(ctx, ref.id, record)
}

func (b serverSide) update(ctx context.Context, ref reference, update Update) (reference, Record, error) {
	record, err := b.Update(ctx, ref.id, update)
	return ref, record, err
}

// renew sends the renewal a second time if it got no answer: the session may have its new id already, and the visitor
// must not be left with the old one.
func (b serverSide) renew(ctx context.Context, ref, fresh reference, renewal Renewal, changes []Change) (
	reference, Record, []Change, error,
) {
	renewal.Old, renewal.New = ref.id, fresh.id
	record, err := b.Renew(ctx, renewal)
	if err != nil && !isAnswer(err) && ctx.Err() == nil {
		record, err = b.Renew(ctx, renewal)
	}
	return fresh, record, changes, err
}

func (b serverSide) end(ctx context.Context, ref reference, now time.Time) error {
	_, err := b.End(ctx, ref.id, EndOptions{Now: now})
	return err
}

// maxDraws bounds the draws of an id. Where one id in 20,000 will do, all of them fail once in e^52 renewals.
const maxDraws = 1 << 20

var errNoPlace = errors.New("the store takes none of the ids that were drawn for the renewal")

func (b serverSide) fresh(ctx context.Context, old reference) (reference, error) {
	var secret [tokenBytes]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the program instead
	cluster, ok := b.Store.(ClusterStore)
	if old.value == "" || !ok {
		token := newToken(secret)
		return reference{string(token), token.id()}, nil
	}
	fits, err := cluster.SameSlot(ctx, old.id)
	if err != nil {
		return reference{}, err
	}
	// The secrets that follow a random one are as hard to guess as it is, but for the 15 bits that choose among them.
	tail := secret[tokenBytes-8:]
	start := binary.BigEndian.Uint64(tail)
	for n := range uint64(maxDraws) {
		binary.BigEndian.PutUint64(tail, start+n)
		var spelled [tokenLength]byte
		base64.RawURLEncoding.Encode(spelled[:], secret[:])
		if id := tokenID(spelled); fits == nil || fits(id) {
			return reference{string(spelled[:]), id}, nil
		}
	}
	return reference{}, errNoPlace
}

func (b serverSide) ping(ctx context.Context) error { return b.Ping(ctx) }

// inUserStore is serverSide for a store that can list a user's sessions.
type inUserStore struct {
	serverSide
	users UserStore
}

func (b inUserStore) userSessions(ctx context.Context, user string, query PageQuery) (Page, error) {
	return b.users.UserSessions(ctx, user, query)
}

// clientSide keeps sessions with their visitors. Nothing is shared, so that every operation is a computation, and the last
// cookie that a browser gets wins.
type clientSide struct{ Codec }

func (b clientSide) refer(value string) (reference, bool) {
	return reference{value: value}, value != ""
}

func (b clientSide) load(_ context.Context, ref reference, now time.Time) (reference, Record, error) {
	id, record, err := b.Decode(ref.value, now)
	return reference{ref.value, id}, record, err
}

func (b clientSide) create(_ context.Context, ref reference, record Record) (reference, error) {
	value, err := b.Encode(ref.id, record)
	return reference{value, ref.id}, err
}

func (b clientSide) update(_ context.Context, ref reference, update Update) (reference, Record, error) {
	id, record, err := b.Decode(ref.value, update.Now)
	if err != nil {
		return ref, Record{}, err
	}
	if record.Values, err = Apply(record.Values, update.Changes); err != nil {
		return ref, Record{}, err
	}
	record.IdleExpires = update.IdleExpires
	value, err := b.Encode(id, record)
	return reference{value, id}, record, err
}

// renew applies the changes too: some sealed sessions can't change later.
func (b clientSide) renew(_ context.Context, ref, fresh reference, renewal Renewal, changes []Change) (
	reference, Record, []Change, error,
) {
	_, old, err := b.Decode(ref.value, renewal.Now)
	if err != nil {
		return ref, Record{}, changes, err
	}
	record := renewal.Renewed(old)
	if record.Values, err = Apply(record.Values, changes); err != nil {
		return ref, Record{}, changes, err
	}
	value, err := b.Encode(fresh.id, record)
	return reference{value, fresh.id}, record, nil, err
}

// end has nothing to do: a copy of the cookie stays good until it expires.
func (b clientSide) end(context.Context, reference, time.Time) error { return nil }

func (b clientSide) fresh(context.Context, reference) (ref reference, err error) {
	rand.Read(ref.id[:])
	return ref, nil
}

func (b clientSide) ping(context.Context) error { return nil }
