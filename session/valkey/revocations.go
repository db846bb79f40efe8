package valkey

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/session"
	"stateless-servers/session/revocation"
)

var (
	//go:embed revoke.lua
	revokeScript string
	//go:embed revoked.lua
	revokedScript string
)

// Revocations is a list of revoked sessions: two sorted sets in one hash slot, with about 200 bytes per entry. The keys don't
// expire, so that a server that evicts keys with an expiry doesn't evict them. Adding an entry deletes up to 100 that have
// expired. If Valkey loses its data, servers that run still know what was revoked, but new servers don't: choose DynamoDB, or a
// Valkey that keeps its data, where that matters.
type Revocations struct {
	store       *Store
	keys        []string
	add, listed *client.Lua
}

var _ revocation.List = (*Revocations)(nil)

// Revocations returns the list of revoked sessions under the store's Prefix, for package revocation. It uses the store's
// connections.
func (s *Store) Revocations() *Revocations {
	return &Revocations{
		store: s, keys: []string{s.prefix + "{revoked}:at", s.prefix + "{revoked}:expires"},
		add: client.NewLuaScript(revokeScript), listed: client.NewLuaScript(revokedScript),
	}
}

// The first byte of an entry's member in the sorted sets; the id follows.
const (
	memberSession = "s"
	memberUser    = "u"
)

func userMember(user session.ID) string { return memberUser + string(user[:]) }

// Add stores an entry with one script.
func (r *Revocations) Add(ctx context.Context, entry revocation.Entry) (revocation.Entry, error) {
	member := memberSession + string(entry.ID[:])
	if entry.CutOff {
		member = userMember(entry.ID)
	}
	expired := entry.At.Add(-session.MaxClockSkew)
	c, err := r.store.Client(ctx)
	if err != nil {
		return entry, err
	}
	at, err := r.add.Exec(ctx, c, r.keys, []string{
		member, micros(entry.At), strconv.FormatInt(entry.Expires.Unix(), 10), strconv.FormatInt(expired.Unix(), 10),
	}).AsInt64()
	if err != nil {
		r.store.connector.check(c, err)
		return entry, err
	}
	entry.At = time.UnixMicro(at)
	return entry, nil
}

// CutOff reads the latest cut-off of a user with one ZSCORE on the primary.
func (r *Revocations) CutOff(ctx context.Context, user session.ID) (time.Time, error) {
	c, err := r.store.Client(ctx)
	if err != nil {
		return time.Time{}, err
	}
	at, err := c.Do(ctx, c.B().Zscore().Key(r.keys[0]).Member(userMember(user)).Build()).AsFloat64()
	if client.IsValkeyNil(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMicro(int64(at)), nil
}

// Page reads entries with one script on the primary.
func (r *Revocations) Page(ctx context.Context, since time.Time, cursor string) ([]revocation.Entry, string, error) {
	from := micros(since)
	if since.IsZero() {
		from = "-inf"
	}
	if cursor != "" {
		if _, err := strconv.ParseInt(cursor, 10, 64); err != nil {
			return nil, "", fmt.Errorf("cursor %q of a list: %w", cursor, session.ErrInvalid)
		}
		from = "(" + cursor
	}
	c, err := r.store.Client(ctx)
	if err != nil {
		return nil, "", err
	}
	reply, err := r.listed.Exec(ctx, c, r.keys, []string{from, strconv.Itoa(session.MaxPage)}).AsStrSlice()
	if err != nil {
		r.store.connector.check(c, err)
		return nil, "", err
	}
	var entries []revocation.Entry
	for ; len(reply) >= 3; reply = reply[3:] {
		entry, err := decodeRevocation(reply[0], reply[1], reply[2])
		if err != nil {
			return nil, "", err
		}
		entries = append(entries, entry)
	}
	if len(entries) < session.MaxPage {
		return entries, "", nil
	}
	return entries, micros(entries[len(entries)-1].At), nil
}

func decodeRevocation(member, at, expires string) (entry revocation.Entry, err error) {
	atMicros, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return entry, fmt.Errorf("decode a revocation: %w", err)
	}
	seconds, err := strconv.ParseFloat(expires, 64)
	if err != nil {
		return entry, fmt.Errorf("decode a revocation: %w", err)
	}
	id, isUser := strings.CutPrefix(member, memberUser)
	if !isUser {
		id = strings.TrimPrefix(member, memberSession)
	}
	if len(member) != 1+len(entry.ID) || len(id) != len(entry.ID) {
		return entry, fmt.Errorf("decode a revocation: the member %q has another form", member)
	}
	copy(entry.ID[:], id)
	entry.CutOff, entry.At, entry.Expires = isUser, time.UnixMicro(atMicros), time.Unix(int64(seconds), 0)
	return entry, nil
}

func micros(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }
