// Package valkey keeps sessions in Valkey or Redis OSS (6 or newer), on one node or a cluster: a hash a session, and
// one script of one key an update. Amazon ElastiCache has both, with nodes or serverless.
//
// Reads and writes go to the primary. After a failover the store follows by itself: on a cluster by the redirections of
// its nodes, without one by connecting to its address anew once a server refuses to write.
package valkey

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/app/session"
)

// maxBytes bounds a session. Valkey would take far more, but a large hash holds up every other command of its node.
const maxBytes = 400_000

// The fields of a session's hash. Its values are fields of their own names, which don't begin with "@". Times are in
// milliseconds of the Unix epoch.
const (
	fieldCreated = "@created"
	fieldExpires = "@expires"
	fieldIdle    = "@idle"
	fieldUser    = "@user"
	fieldAgent   = "@agent"
	fieldEnded   = "@ended" // the only field of a session that has ended: until when that is remembered
)

// What the scripts answer instead of a session.
const (
	answerMissing  = "missing"
	answerEnded    = "ended"
	answerTooLarge = "too large"
	answerCounter  = "counter"
	answerExists   = "exists"
)

var (
	//go:embed create.lua
	createScript string
	//go:embed update.lua
	updateScript string
	//go:embed end.lua
	endScript string
	//go:embed remember.lua
	rememberScript string
)

// Store keeps sessions in Valkey. Create one with New.
type Store struct {
	prefix                        string
	maxBytes                      string // as the scripts take it
	connector                     *connector
	create, update, end, remember *client.Lua
}

var _ session.UserStore = (*Store)(nil)

// New returns a Store that connects when it is first used. Close it after use.
func New(o Options) *Store { return newStore(o, clientLifetime) }

func newStore(o Options, lifetime time.Duration) *Store {
	if o.Prefix == "" {
		o.Prefix = "session:"
	}
	return &Store{
		prefix: o.Prefix, maxBytes: strconv.Itoa(maxBytes), connector: newConnector(o, lifetime),
		create: client.NewLuaScript(createScript), update: client.NewLuaScript(updateScript),
		end: client.NewLuaScript(endScript), remember: client.NewLuaScript(rememberScript),
	}
}

// Close closes the store's connections.
func (s *Store) Close() { s.connector.close() }

// Client returns the store's client, for what an application keeps beside its sessions. It may be another one every time:
// it is not to be kept beyond a request, nor closed.
func (s *Store) Client(ctx context.Context) (client.Client, error) { return s.connector.client(ctx) }

// Promises declares that every promise is kept, as far as the server keeps what it acknowledged: replication is
// asynchronous, so that a failover may lose the last moments' changes.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "valkey", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, ByUser: true, Changes: true,
		MaxBytes: maxBytes,
	}
}

// Ping writes, without an effect: a server that was the primary until a failover would answer everything else.
func (s *Store) Ping(ctx context.Context) error {
	c, err := s.Client(ctx)
	if err != nil {
		return err
	}
	err = c.Do(ctx, c.B().Del().Key(s.prefix+"ping").Build()).Error()
	s.connector.check(c, err)
	return err
}

// Create stores a new session, then enters it in its user's list. Nobody has the id before both are done.
func (s *Store) Create(ctx context.Context, id session.ID, r session.Record) error {
	args := []string{
		millis(earlier(r.Expires, r.IdleExpires)),
		fieldCreated, millis(r.Created), fieldExpires, millis(r.Expires), fieldIdle, millis(r.IdleExpires),
	}
	if r.User != "" {
		args = append(args, fieldUser, r.User)
	}
	if r.UserAgent != "" {
		args = append(args, fieldAgent, r.UserAgent)
	}
	for key, value := range r.Values {
		args = append(args, key, value)
	}
	if _, err := s.run(ctx, s.create, s.key(id), args); err != nil {
		return err
	}
	if r.User == "" {
		return nil
	}
	_, err := s.run(ctx, s.remember, s.userKey(r.User), []string{millis(r.Created), millis(r.Expires), id.String()})
	return err
}

// Load returns a live session: one HGETALL, of the primary.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	c, err := s.Client(ctx)
	if err != nil {
		return session.Record{}, err
	}
	fields, err := c.Do(ctx, c.B().Hgetall().Key(s.key(id)).Build()).AsStrMap()
	if err != nil {
		return session.Record{}, err
	}
	return decode(fields, now)
}

// Update applies the changes in one script.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	args := make([]string, 0, 3+3*len(u.Changes))
	args = append(args, millis(u.Now), millis(u.IdleExpires), s.maxBytes)
	for _, change := range u.Changes {
		switch change.Op {
		case session.OpSet:
			args = append(args, "set", change.Key, change.Value)
		case session.OpRemove:
			args = append(args, "remove", change.Key, "")
		case session.OpAdd:
			args = append(args, "add", change.Key, strconv.FormatInt(change.N, 10))
		}
	}
	hash, err := s.run(ctx, s.update, s.key(id), args)
	if err != nil {
		return session.Record{}, err
	}
	return decodeText(hash, u.Now)
}

// End replaces a session by the memory of its end, then strikes it off its user's list.
func (s *Store) End(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	hash, err := s.run(ctx, s.end, s.key(id), []string{millis(now), millis(now.Add(session.EndedFor))})
	if err != nil {
		return session.Record{}, err
	}
	record, err := decodeText(hash, now)
	if err == nil && record.User != "" {
		// A list may name a session that is gone: UserSessions looks, and strikes it off.
		s.forget(ctx, record.User, id.String())
	}
	return record, err
}

// run executes a script of one key. It answers with one of the words above, which are errors, or with a hash as text.
func (s *Store) run(ctx context.Context, script *client.Lua, key string, args []string) (string, error) {
	c, err := s.Client(ctx)
	if err != nil {
		return "", err
	}
	answer, err := script.Exec(ctx, c, []string{key}, args).ToString()
	if err != nil {
		s.connector.check(c, err)
		return "", err
	}
	switch answer {
	case answerMissing:
		return "", session.ErrNotFound
	case answerEnded:
		return "", session.ErrEnded
	case answerTooLarge:
		return "", session.ErrTooLarge
	case answerCounter:
		return "", session.ErrCounter
	case answerExists:
		return "", fmt.Errorf("%s exists", key)
	default:
		return answer, nil
	}
}

// key is written in one allocation: every call needs it.
func (s *Store) key(id session.ID) string {
	var buffer [128]byte
	return string(id.Append(append(buffer[:0], s.prefix...)))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
