package revocation

import (
	"context"
	"maps"
	"strconv"
	"time"

	"stateless-servers/session"
)

// keyCutOff is the key in a session's values of the user's latest cut-off before the login, in microseconds since the Unix
// epoch. A session without it started when its user had none. Handlers can't set it, because it begins with "@".
const keyCutOff = "@after"

// Codec returns a codec whose sessions are those of codec, without the revoked ones.
func (f *Follower) Codec(codec session.Codec) session.RevocableCodec { return revocable{codec, f} }

type revocable struct {
	session.Codec
	*Follower
}

// Promises declares LogoutFinalWithin beside the promises of the wrapped codec.
func (r revocable) Promises() session.Promises {
	promises := r.Codec.Promises()
	promises.LogoutFinalWithin = r.options.Within
	return promises
}

// Decode returns a session that is not revoked.
func (r revocable) Decode(value string, now time.Time) (session.ID, session.Record, error) {
	id, record, err := r.Codec.Decode(value, now)
	if err == nil {
		err = r.check(id, record, now)
	}
	if err != nil {
		return session.ID{}, session.Record{}, err
	}
	return id, record, nil
}

// Start asks the list for the latest cut-off of the user. If the list fails and stale lists are accepted, it takes the cut-off
// that this server knows.
func (r revocable) Start(ctx context.Context, record session.Record) (session.Record, error) {
	user := UserID(record.User)
	at, err := r.list.CutOff(ctx, user)
	if err != nil {
		if !r.options.AcceptStale {
			return record, err
		}
		r.mu.RLock()
		at = r.users[user].At
		r.mu.RUnlock()
	}
	values := maps.Clone(record.Values)
	delete(values, keyCutOff)
	if !at.IsZero() {
		if values == nil {
			values = map[string]string{}
		}
		values[keyCutOff] = strconv.FormatInt(at.UnixMicro(), 10)
	}
	record.Values = values
	return record, nil
}

// void reports whether a session is void because of a cut-off: its login doesn't state that cut-off or a later one. A session
// that started later by more than the clocks may differ is not void: its server may not have known revocation yet.
func void(record session.Record, cutOff time.Time) bool {
	stated, _ := strconv.ParseInt(record.Values[keyCutOff], 10, 64)                                           // 0 without a mark
	return stated < cutOff.UnixMicro() && !record.Created.After(cutOff.Add(session.MaxClockSkew+time.Second)) // Created may be rounded
}

// End puts a session on the list. It returns session.ErrEnded if the session is on it already.
func (r revocable) End(ctx context.Context, id session.ID, record session.Record, now time.Time) error {
	entry := Entry{ID: id, At: now.Truncate(time.Microsecond), Expires: ceil(record.Expires)}
	stored, err := r.add(ctx, entry)
	if err == nil && !stored.At.Equal(entry.At) {
		return session.ErrEnded // by another request
	}
	return err
}

// EndUser puts a cut-off on the list.
func (r revocable) EndUser(ctx context.Context, user string, now, expires time.Time) error {
	_, err := r.add(ctx, Entry{CutOff: true, ID: UserID(user), At: now.Truncate(time.Microsecond), Expires: ceil(expires)})
	return err
}

// add stores an entry, and makes this server know it. It tries a second time if it got no reply: the entry may be stored already,
// and a visitor whose session got a new id must not be left with the old one.
func (f *Follower) add(ctx context.Context, entry Entry) (Entry, error) {
	stored, err := f.list.Add(ctx, entry)
	if err != nil && ctx.Err() == nil {
		stored, err = f.list.Add(ctx, entry)
	}
	if err != nil {
		return entry, err
	}
	f.learn(stored)
	return stored, nil
}

// Ping returns nil if the whole list has been read and, unless stale lists are accepted, was read within Options.Within.
func (r revocable) Ping(context.Context) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.read.IsZero() || !r.options.AcceptStale && r.stale() {
		return errStale
	}
	return nil
}

// ceil rounds up to the second.
func ceil(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }
