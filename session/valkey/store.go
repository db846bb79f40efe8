// Package valkey keeps sessions in Valkey or Redis OSS (6 or newer), on one node or a cluster. Amazon ElastiCache offers both,
// on nodes or serverless. Start reading at Store, which New creates.
//
// A session is a hash. An update is a Lua script of one key, a login or a renewal a script of two keys. On a cluster both
// keys must be in the same hash slot; SameSlot helps to choose such an id.
//
// The store reads from and writes to the primary. After a failover it finds the new primary by itself. On a cluster it
// follows the redirections of the nodes. Without a cluster it reconnects to its address when a server refuses to write.
//
// # Eviction
//
// The sessions of a user are on a list, a sorted set that only logins and listings use. A server that is out of memory and
// evicts the least recently used keys (maxmemory-policy volatile-lru or allkeys-lru) therefore evicts the list before its
// sessions. The sessions stay live, but UserSessions and Manager.EndUserSessions don't find them.
//
// Choose noeviction, with an alarm on memory. A full server then refuses to start or change sessions, which visitors see as a
// 503, while reads and logouts still work. If sessions must be evicted, choose volatile-ttl, which evicts the keys that
// expire first: a list expires after all its sessions. ElastiCache Serverless always uses volatile-lru, and ElastiCache nodes
// use it by default; set an alarm on evictions there.
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

// maxBytes is the maximum size of a session. Valkey allows far more, but a large hash blocks all other commands of its node.
const maxBytes = 400_000

// The fields of a session's hash. Each value of the session is a field too; the names of values don't begin with "@". Times
// are in milliseconds since the Unix epoch.
const (
	fieldCreated = "@created"
	fieldExpires = "@expires"
	fieldIdle    = "@idle"
	fieldUser    = "@user"
	fieldAgent   = "@agent"
	fieldEnded   = "@ended" // only of a session that has ended: until when that is remembered
	// fieldTimeout is the session's own idle timeout in milliseconds. Without it the server's applies. Servers of an earlier
	// version ignore it.
	fieldTimeout = "@timeout"
	// fieldKept is the reason why an ended session keeps its state. A session that was renewed keeps only its values and its
	// user. A session that moves to another store keeps all fields, with its two expiries under other names.
	fieldKept = "@kept"
)

// keptRenewed is the fieldKept of a session that was renewed.
const keptRenewed = "renewed"

// Replies of the scripts other than a session.
const (
	replyMissing  = "missing"
	replyEnded    = "ended"
	replyTooLarge = "too large"
	replyCounter  = "counter"
	replyChanged  = "changed"
	replyExists   = "exists"
)

var (
	//go:embed common.lua
	commonScript string
	//go:embed create.lua
	createScript string
	//go:embed update.lua
	updateScript string
	//go:embed renew.lua
	renewScript string
	//go:embed end.lua
	endScript string
	//go:embed addtolist.lua
	addToListScript string
	//go:embed list.lua
	listScript string
)

// Store keeps sessions in Valkey. Create one with New.
type Store struct {
	prefix                                      string
	maxBytes                                    string // argument of the scripts
	connector                                   *connector
	create, update, renew, end, addToList, list *client.Lua
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
		end: newScript(endScript), addToList: newScript(addToListScript), list: newScript(listScript),
	}
}

func newScript(text string) *client.Lua {
	return client.NewLuaScript(fmt.Sprintf("local MAX_CLOCK_SKEW, ENDED_FOR, MAX_COUNTER = %d, %d, %d\n",
		session.MaxClockSkew.Milliseconds(), session.EndedFor.Milliseconds(), int64(session.MaxCounter)) + commonScript + text)
}

// Close closes the store's connections.
func (s *Store) Close() { s.connector.close() }

// Client returns the store's client, for other data of the application. It connects if necessary. Calls may return different
// clients: don't keep one longer than a request, and don't close it.
func (s *Store) Client(ctx context.Context) (client.Client, error) { return s.connector.client(ctx) }

// Promises declares every promise, without the limit OneRegion, provided that the server keeps acknowledged writes. Replication is
// asynchronous, so a failover may lose the most recent changes.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "valkey", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true,
		AtomicRenewal: true, ListsByUser: true, Mutable: true, MaxBytes: maxBytes,
	}
}

// Ping deletes a key that doesn't exist. It uses a write command because a former primary still accepts reads after a
// failover.
func (s *Store) Ping(ctx context.Context) error {
	c, err := s.Client(ctx)
	if err != nil {
		return err
	}
	err = c.Do(ctx, c.B().Del().Key(s.prefix+"ping").Build()).Error()
	s.connector.check(c, err)
	return err
}

// Create adds a session to its user's list, then stores it.
func (s *Store) Create(ctx context.Context, id session.ID, r session.Record) error {
	if err := s.addToUserList(ctx, id, r, r.Created); err != nil {
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
	if r.IdleTimeout > 0 {
		args = append(args, fieldTimeout, strconv.FormatInt(r.IdleTimeout.Milliseconds(), 10))
	}
	if r.UserAgent != "" {
		args = append(args, fieldAgent, r.UserAgent)
	}
	return args
}

// Load returns a live session, with one HGETALL on the primary.
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

// Update applies the changes with one script.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	args := make([]string, 0, 4+3*len(u.Changes))
	args = append(args, millis(u.Now), millis(u.IdleExpires), millis(u.Now.Add(u.TouchAfter)), s.maxBytes)
	for _, change := range u.Changes {
		switch change.Op {
		case session.OpSet:
			args = append(args, "set", change.Key, change.Value)
		case session.OpRemove:
			args = append(args, "remove", change.Key, change.Value)
		case session.OpAdd:
			args = append(args, "add", change.Key, strconv.FormatInt(change.N, 10))
		}
	}
	hash, err := s.run(ctx, s.update, []string{s.key(id)}, args)
	if err != nil {
		return session.Record{}, err
	}
	return decodeReply(hash)
}

// End replaces a session by its tombstone, then removes the session from its user's list.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	args := []string{millis(options.Now)}
	if options.Moving {
		args = append(args, "moving")
	}
	hash, err := s.run(ctx, s.end, []string{s.key(id)}, args)
	if err != nil {
		return session.Record{}, err
	}
	record, err := decodeReply(hash)
	if err == nil && record.User != "" {
		s.removeFromUserList(ctx, record.User, id.String()) // an error is harmless: an ended session may stay on the list
	}
	return record, err
}

// run executes a script and returns its reply, which is a session's hash as one string. Other replies become errors. All keys
// must be in the same hash slot: on a cluster, the client panics if they aren't.
func (s *Store) run(ctx context.Context, script *client.Lua, keys, args []string) (string, error) {
	c, err := s.Client(ctx)
	if err != nil {
		return "", err
	}
	reply, err := script.Exec(ctx, c, keys, args).ToString()
	if err != nil {
		s.connector.check(c, err)
		return "", err
	}
	switch reply {
	case replyMissing:
		return "", session.ErrNotFound
	case replyEnded:
		return "", session.ErrEnded
	case replyTooLarge:
		return "", session.ErrTooLarge
	case replyCounter:
		return "", session.ErrCounter
	case replyChanged:
		return "", session.ErrChanged
	case replyExists:
		return "", fmt.Errorf("%s exists", keys[0])
	default:
		return reply, nil
	}
}

// key returns the key of a session. It takes one allocation, because every call needs it.
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
