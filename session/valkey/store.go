// Package valkey keeps sessions in Valkey or Redis OSS (6 or newer), on one node or a cluster: a hash per session, and
// one script of one key per update. A login or a renewal is one script of two keys. On a cluster both keys must be in one
// hash slot, and Place finds an id that is. Amazon ElastiCache has Valkey and Redis OSS, with nodes or serverless.
//
// Reads and writes go to the primary. After a failover the store follows by itself: on a cluster by the redirections of
// its nodes, without one by connecting to its address anew once a server refuses to write.
//
// The sessions of a user are on a list, a sorted set. Nothing but a login and a listing uses it, so that a server that is
// out of memory and evicts what was unused for longest (maxmemory-policy volatile-lru or allkeys-lru) evicts the list
// before the sessions that it names. They go on, and UserSessions and Manager.EndUserSessions know nothing of them.
// Choose noeviction, with an alarm on memory: a full server then refuses to start sessions and to change them, which
// visitors see as a 503, while reads and logouts go on. If sessions must be evicted, choose volatile-ttl, which takes what
// expires first: a list expires after each of its sessions. A serverless cache of ElastiCache always has volatile-lru, and
// it is the default of ElastiCache's nodes: there, alarm on evictions.
package valkey

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/session"
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
	fieldEnded   = "@ended" // only of a session that has ended: until when that is remembered
	// fieldKept says why the state of a session that has ended is kept beside fieldEnded. A session that was renewed keeps
	// its values and its user, and none of the fields that a live session has besides. A session that moves to another
	// store keeps everything, and has its expiries under other names.
	fieldKept = "@kept"
)

// keptRenewed is the fieldKept of a session that was renewed.
const keptRenewed = "renewed"

// What the scripts answer instead of a session.
const (
	answerMissing  = "missing"
	answerEnded    = "ended"
	answerTooLarge = "too large"
	answerCounter  = "counter"
	answerExists   = "exists"
)

var (
	//go:embed begin.lua
	beginScript string
	//go:embed create.lua
	createScript string
	//go:embed update.lua
	updateScript string
	//go:embed renew.lua
	renewScript string
	//go:embed end.lua
	endScript string
	//go:embed remember.lua
	rememberScript string
	//go:embed list.lua
	listScript string
)

// Store keeps sessions in Valkey. Create one with New.
type Store struct {
	prefix                                     string
	maxBytes                                   string // as the scripts take it
	connector                                  *connector
	create, update, renew, end, remember, list *client.Lua
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
		create: newScript(createScript), update: newScript(updateScript), renew: newScript(renewScript),
		end: newScript(endScript), remember: newScript(rememberScript), list: newScript(listScript),
	}
}

func newScript(text string) *client.Lua {
	return client.NewLuaScript(fmt.Sprintf("local MAX_CLOCK_SKEW, ENDED_FOR, MAX_COUNTER = %d, %d, %d\n",
		session.MaxClockSkew.Milliseconds(), session.EndedFor.Milliseconds(), int64(session.MaxCounter)) + beginScript + text)
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
		Name: "valkey", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true,
		AtomicRenewal: true, ListsByUser: true, Mutable: true, MaxBytes: maxBytes,
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

// Create enters a session in its user's list, then stores it.
func (s *Store) Create(ctx context.Context, id session.ID, r session.Record) error {
	if err := s.enter(ctx, id, r, r.Created); err != nil {
		return err
	}
	args := appendMeta([]string{millis(earlier(r.Expires, r.IdleExpires))}, r)
	for key, value := range r.Values {
		args = append(args, key, value)
	}
	_, err := s.run(ctx, s.create, []string{s.key(id)}, args)
	return err
}

// appendMeta appends the fields of a session that are not values.
func appendMeta(args []string, r session.Record) []string {
	args = append(args, fieldCreated, millis(r.Created), fieldExpires, millis(r.Expires), fieldIdle, millis(r.IdleExpires))
	if r.User != "" {
		args = append(args, fieldUser, r.User)
	}
	if r.UserAgent != "" {
		args = append(args, fieldAgent, r.UserAgent)
	}
	return args
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
	hash, err := s.run(ctx, s.update, []string{s.key(id)}, args)
	if err != nil {
		return session.Record{}, err
	}
	return decodeText(hash)
}

// End puts the note of its end in a session's place, then strikes the session off its user's list.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	args := []string{millis(options.Now)}
	if options.Moving {
		args = append(args, "moving")
	}
	hash, err := s.run(ctx, s.end, []string{s.key(id)}, args)
	if err != nil {
		return session.Record{}, err
	}
	record, err := decodeText(hash)
	if err == nil && record.User != "" {
		s.strike(ctx, record.User, id.String()) // what stays on the list does no harm
	}
	return record, err
}

// run executes a script. It answers with one of the words above, which are errors, or with a hash as text. Several keys
// must share a hash slot: on a cluster, the client panics if they don't.
func (s *Store) run(ctx context.Context, script *client.Lua, keys, args []string) (string, error) {
	c, err := s.Client(ctx)
	if err != nil {
		return "", err
	}
	answer, err := script.Exec(ctx, c, keys, args).ToString()
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
		return "", fmt.Errorf("%s exists", keys[0])
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
