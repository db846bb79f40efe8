// Package memcached keeps sessions in Memcached, one item per session. Start reading at Store, which New creates.
//
// An update is a loop of gets and cas: it reads the item, applies the changes, and writes the item if nobody has written it
// meanwhile, otherwise it starts again. A renewal is such a loop over two items: it writes the new session, then replaces the
// old session by its tombstone.
//
// Amazon ElastiCache for Memcached offers such servers, on nodes or serverless (which needs TLS). Options.Addresses are the
// endpoints of the nodes, or the one endpoint of a serverless cache. Auto discovery (the configuration endpoint of several
// nodes) is not supported: web servers that learn of a new node at different times would look for one session on two nodes.
//
// Each session is on one node only. It is lost when the node restarts, or when the node is out of memory and evicts it. A lost
// session never comes back.
package memcached

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"stateless-servers/session"
)

const (
	// maxBytes is the limit of DynamoDB, the smallest of all shared stores, so that every session that fits here fits there.
	maxBytes = 400_000
	// maxItem is less than the maximum item size of a default server, 1 MiB with the item's header. A session of maxBytes may exceed
	// it in JSON if it has many control characters. Such an item must not be sent: a server that refuses an item because of its size
	// may drop the item that it would replace.
	maxItem       = 1_000_000
	defaultPrefix = "session:"
	// maxIdle is the maximum number of idle connections per node.
	maxIdle = 256
)

// Options configure a Store.
type Options struct {
	// Addresses are host:port of the nodes, at least one. Rendezvous hashing of its id assigns each session to a node. All web
	// servers must have the same list, in any order. Adding or removing one of n nodes loses about 1/n of the sessions.
	Addresses []string
	// TLS enables TLS.
	TLS bool
	// RootCAs are the certificate authorities that TLS trusts; default those of the system.
	RootCAs *x509.CertPool
	// Prefix is the beginning of every key; default "session:". It has at most 200 bytes, without spaces and control characters.
	Prefix string
	// Timeout limits each dial and each exchange with a node, even after the caller's context has ended; default 1 s.
	Timeout time.Duration
}

// Store keeps sessions in Memcached. Create one with New.
type Store struct {
	prefix    string
	client    *memcache.Client
	shared    bool // with the caller, who closes the client
	conflicts atomic.Int64
}

var _ session.Store = (*Store)(nil)

// New returns a Store that connects on first use. It returns an error if Addresses is empty or has a malformed address. Close
// the Store after use.
func New(o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	if len(o.Addresses) == 0 {
		return nil, errors.New("session store memcached: no address: at least one host:port is needed")
	}
	list := make(nodes, len(o.Addresses))
	for i, address := range o.Addresses {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, fmt.Errorf("session store memcached: address %q: allowed is host:port: %w", address, err)
		}
		list[i] = node(address)
	}
	client := memcache.NewFromSelector(list)
	client.Timeout, client.MaxIdleConns = o.Timeout, maxIdle
	dial := (&net.Dialer{}).DialContext
	if o.TLS {
		dial = (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs}}).DialContext
	}
	client.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newCheckedConn(conn), nil
	}
	return &Store{prefix: o.Prefix, client: client}, nil
}

// NewFromClient returns a Store that uses the caller's client, which the caller closes. prefix is as in Options; "" is the
// default. The Store doesn't check the replies of the nodes, as it does with New, so the client must reach only trusted ones.
//
// The client's selector must assign a key to the same node on every server, and to no other node while that is down: the two
// nodes would have a session in different states. The ServerList of the client's package does so, but adding a node to it
// loses nearly all sessions. Timeout limits each exchange, as in Options. MaxIdleConns should be the number of concurrent
// requests; the client's default is 2.
func NewFromClient(client *memcache.Client, prefix string) *Store {
	if prefix == "" {
		prefix = defaultPrefix
	}
	return &Store{prefix: prefix, client: client, shared: true}
}

// Close closes the store's connections, but not those of NewFromClient.
func (s *Store) Close() error {
	if s.shared {
		return nil
	}
	return s.client.Close()
}

// Promises declares the promises that hold while a node keeps the session. A node that restarts, or that evicts sessions because
// it is out of memory, loses them with all acknowledged changes. AtomicRenewal is false, because Memcached has no transactions
// and the two sessions may be on different nodes. ListsByUser is false.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "memcached", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, Mutable: true,
		MaxBytes: maxBytes,
	}
}

// Conflicts returns the number of conflicts since the store was created. A conflict is a concurrent write between reading a
// session and writing it; it costs two more exchanges with the node. The number is for metrics.
func (s *Store) Conflicts() int64 { return s.conflicts.Load() }

// Ping returns nil if every node replies.
func (s *Store) Ping(ctx context.Context) error {
	_, err := withContext(ctx, func() (struct{}, error) { return struct{}{}, s.client.Ping() })
	return err
}

// Create stores a new session.
func (s *Store) Create(ctx context.Context, id session.ID, record session.Record) error {
	value, err := encode(entry{}, record, maxItem)
	if err != nil {
		return err
	}
	item := &memcache.Item{Key: s.key(id), Value: value, Expiration: lifetime(record.Created, expires(record))}
	_, err = withContext(ctx, func() (struct{}, error) { return struct{}{}, s.client.Add(item) })
	if errors.Is(err, memcache.ErrNotStored) {
		return fmt.Errorf("session %s exists", id)
	}
	return err
}

// Load returns a live session.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return withContext(ctx, func() (session.Record, error) {
		_, f, err := s.read(id, now)
		if err != nil {
			return session.Record{}, err
		}
		return f.record, nil
	})
}

// Update reads the session, applies the changes, and writes it if nobody has written it meanwhile. Otherwise it starts again.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	f, err := s.modify(ctx, id, u.Now, func(item *memcache.Item, f *storedSession) (err error) {
		if f.record.Values, err = session.Apply(f.record.Values, u.Changes); err != nil {
			return err
		}
		if f.record.Size() > maxBytes {
			return session.ErrTooLarge
		}
		f.record = u.Extend(f.record)
		item.Expiration = lifetime(u.Now, expires(f.record))
		item.Value, err = encode(f.entry, f.record, maxItem)
		return err
	})
	if err != nil {
		return session.Record{}, err
	}
	return f.record, nil
}

// modify reads a live session, applies change, and writes the result, in a loop until it succeeds or ctx ends. It repeats only
// if the node replies that it wrote nothing: without a reply the write may have happened, and an addition would count twice.
// With ErrEnded it returns the state that the tombstone keeps.
func (s *Store) modify(ctx context.Context, id session.ID, now time.Time, change func(*memcache.Item, *storedSession) error) (storedSession, error) {
	return withContext(ctx, func() (storedSession, error) {
		for ctx.Err() == nil {
			item, f, err := s.read(id, now)
			if err != nil {
				return f, err
			}
			if err := change(item, &f); err != nil {
				return storedSession{}, err
			}
			written, err := s.swap(item)
			switch {
			case errors.Is(err, memcache.ErrCacheMiss):
				return storedSession{}, session.ErrNotFound
			case err != nil:
				return storedSession{}, err
			case written:
				return f, nil
			}
		}
		return storedSession{}, ctx.Err()
	})
}

// swap writes an item unless another request has written it since it was read, and reports whether it did.
func (s *Store) swap(item *memcache.Item) (bool, error) {
	err := s.client.CompareAndSwap(item)
	if errors.Is(err, memcache.ErrCASConflict) {
		s.conflicts.Add(1)
		return false, nil
	}
	return err == nil, err
}

// read returns a session and its item. With ErrEnded it returns the state that the tombstone keeps.
func (s *Store) read(id session.ID, now time.Time) (*memcache.Item, storedSession, error) {
	item, err := s.client.Get(s.key(id))
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, storedSession{}, session.ErrNotFound
	}
	if err == nil && item.Key != s.key(id) {
		err = errors.New("the node replied with another key's item")
	}
	if err == nil && item.CasID == 0 {
		err = errors.New("the node runs without cas (option -C): updates would be lost")
	}
	if err != nil {
		return nil, storedSession{}, err
	}
	f, err := decode(item.Value, now)
	return item, f, err
}

func (s *Store) key(id session.ID) string { return s.prefix + id.String() }

// withContext calls f and returns its result, or the error of ctx if that ends first: the client doesn't support contexts. An f
// that is still running then ends by itself, after a few of the client's timeouts.
func withContext[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

func expires(r session.Record) time.Time {
	if r.IdleExpires.Before(r.Expires) {
		return r.IdleExpires
	}
	return r.Expires
}

// lifetime returns the expiration of an item that is needed until the given time. It adds MaxClockSkew, since readers check
// expiry themselves and nodes keep time only to the second. Up to 30 days are sent relative to now, so that the node's clock
// doesn't matter. Memcached takes larger numbers for Unix timestamps (protocol.txt, "Expiration times"), so a longer lifetime is
// sent as a timestamp. The client can't send timestamps after January 2038; such an item expires 30 days after its last update.
func lifetime(now, until time.Time) int32 {
	const (
		slack       = session.MaxClockSkew
		maxRelative = 30 * 24 * time.Hour
	)
	left, at := until.Add(slack).Sub(now), until.Add(slack+time.Second-1).Unix()
	switch {
	case left <= maxRelative-time.Second:
		return int32(max(time.Second, left+time.Second-1) / time.Second) // #nosec G115 -- at most thirty days
	case at > math.MaxInt32:
		return int32(maxRelative / time.Second)
	default:
		return int32(at) // #nosec G115 -- compared above
	}
}
