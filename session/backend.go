package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// A backend keeps the sessions of a Manager, in a Store or in cookies.
type backend interface {
	// parse returns the reference in a cookie's value, and reports whether the value has the right form. A store is never
	// asked about any other value.
	parse(value string) (reference, bool)
	load(ctx context.Context, ref reference, now time.Time) (reference, Record, error)
	create(ctx context.Context, ref reference, record Record) (reference, error)
	update(ctx context.Context, ref reference, update Update) (reference, Record, error)
	// renew renews the session of ref to the id of fresh, and returns the changes that it has not applied. It sets Old and New
	// of the renewal.
	renew(ctx context.Context, ref, fresh reference, renewal Renewal, changes []Change) (reference, Record, []Change, error)
	end(ctx context.Context, ref reference, now time.Time) error
	// newReference returns an unused reference, to which old can be renewed. For a first session, old is empty.
	newReference(ctx context.Context, old reference) (reference, error)
	ping(ctx context.Context) error
}

// A userBackend can list the sessions of a user.
type userBackend interface {
	userSessions(ctx context.Context, user string, query PageQuery) (Page, error)
}

// A reference identifies a session.
type reference struct {
	value string // of the cookie
	id    ID     // unknown until the value is decoded, if the session is in the cookie
}

// serverSide keeps sessions in a Store. The cookie holds a secret, and the id of the session is its hash.
type serverSide struct{ Store }

func (b serverSide) parse(value string) (reference, bool) {
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

// renew sends the renewal a second time if it got no reply: the session may have its new id already, and the visitor must
// not be left with the old one.
func (b serverSide) renew(ctx context.Context, ref, fresh reference, renewal Renewal, changes []Change) (
	reference, Record, []Change, error,
) {
	renewal.Old, renewal.New = ref.id, fresh.id
	record, err := b.Renew(ctx, renewal)
	if err != nil && !isReply(err) && ctx.Err() == nil {
		record, err = b.Renew(ctx, renewal)
	}
	return fresh, record, changes, err
}

func (b serverSide) end(ctx context.Context, ref reference, now time.Time) error {
	_, err := b.End(ctx, ref.id, EndOptions{Now: now})
	return err
}

// maxIDDraws bounds the ids that are drawn for one renewal. If one id in 20,000 is possible, the chance that every draw
// fails is e^-52.
const maxIDDraws = 1 << 20

var errNoSlotID = errors.New("none of the ids drawn for the renewal is in the hash slot of the old id")

func (b serverSide) newReference(ctx context.Context, old reference) (reference, error) {
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
	// The secrets after a random one are as hard to guess, except for about 15 bits by which they are chosen.
	tail := secret[tokenBytes-8:]
	start := binary.BigEndian.Uint64(tail)
	for n := range uint64(maxIDDraws) {
		binary.BigEndian.PutUint64(tail, start+n)
		var encoded [tokenLength]byte
		base64.RawURLEncoding.Encode(encoded[:], secret[:])
		if id := tokenID(encoded); fits == nil || fits(id) {
			return reference{string(encoded[:]), id}, nil
		}
	}
	return reference{}, errNoSlotID
}

func (b serverSide) ping(ctx context.Context) error { return b.Ping(ctx) }

// serverSideUsers is serverSide for a store that can list a user's sessions.
type serverSideUsers struct {
	serverSide
	users UserStore
}

func (b serverSideUsers) userSessions(ctx context.Context, user string, query PageQuery) (Page, error) {
	return b.users.UserSessions(ctx, user, query)
}

// clientSide keeps each session in its visitor's cookie. Servers share nothing, and the last cookie that a browser receives
// wins.
type clientSide struct {
	Codec
	revocable RevocableCodec // the Codec, or nil if its sessions can't end before they expire
}

func newClientSide(codec Codec) clientSide {
	revocable, _ := codec.(RevocableCodec)
	return clientSide{codec, revocable}
}

func (b clientSide) parse(value string) (reference, bool) {
	return reference{value: value}, value != ""
}

func (b clientSide) load(_ context.Context, ref reference, now time.Time) (reference, Record, error) {
	id, record, err := b.Decode(ref.value, now)
	return reference{ref.value, id}, record, err
}

func (b clientSide) create(ctx context.Context, ref reference, record Record) (reference, error) {
	record, err := b.start(ctx, record)
	if err != nil {
		return ref, err
	}
	value, err := b.Encode(ref.id, record)
	return reference{value, ref.id}, err
}

// start returns the record of a session that starts by a login, as it is encoded.
func (b clientSide) start(ctx context.Context, record Record) (Record, error) {
	if b.revocable == nil || record.User == "" {
		return record, nil
	}
	return b.revocable.Start(ctx, record)
}

func (b clientSide) update(_ context.Context, ref reference, update Update) (reference, Record, error) {
	id, record, err := b.Decode(ref.value, update.Now)
	if err != nil {
		return ref, Record{}, err
	}
	if record.Values, err = Apply(record.Values, update.Changes); err != nil {
		return ref, Record{}, err
	}
	record = update.Extend(record)
	value, err := b.Encode(id, record)
	return reference{value, id}, record, err
}

// renew applies the changes too, because the sessions of some codecs can't change later. If sessions can be revoked, it ends
// the old one last, and only if it had a user: a copy of an anonymous session can do nothing more than its holder could before.
func (b clientSide) renew(ctx context.Context, ref, fresh reference, renewal Renewal, changes []Change) (
	reference, Record, []Change, error,
) {
	oldID, old, err := b.Decode(ref.value, renewal.Now)
	if err != nil {
		return ref, Record{}, changes, err
	}
	record := renewal.Renewed(old)
	if renewal.AllowRenewed { // a login; another renewal keeps the mark of the login
		if record, err = b.start(ctx, record); err != nil {
			return ref, Record{}, changes, err
		}
	}
	if record.Values, err = Apply(record.Values, changes); err != nil {
		return ref, Record{}, changes, err
	}
	value, err := b.Encode(fresh.id, record)
	if err == nil && b.revocable != nil && old.User != "" {
		err = b.revocable.End(ctx, oldID, old, renewal.Now)
	}
	return reference{value, fresh.id}, record, nil, err
}

// end ends a session if the codec can. Otherwise a copy of the cookie stays valid until it expires.
func (b clientSide) end(ctx context.Context, ref reference, now time.Time) error {
	if b.revocable == nil {
		return nil
	}
	id, record, err := b.Decode(ref.value, now)
	if err != nil {
		return err
	}
	return b.revocable.End(ctx, id, record, now)
}

func (b clientSide) newReference(context.Context, reference) (ref reference, err error) {
	rand.Read(ref.id[:])
	return ref, nil
}

func (b clientSide) ping(ctx context.Context) error {
	if b.revocable == nil {
		return nil
	}
	return b.revocable.Ping(ctx)
}
