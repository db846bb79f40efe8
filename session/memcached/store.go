// Package memcached keeps sessions in Memcached: an item a session, and a loop of gets and cas an update,
// which applies the changes anew to whatever it finds until nobody came between. A renewal is such a loop of two items: it
// writes the new session, and then a note of the end in the old one's place.
//
// Amazon ElastiCache for Memcached has such servers, with nodes or serverless (which needs TLS). Options.Addresses are the
// nodes' own endpoints, or the one endpoint of a serverless cache. Auto discovery (the configuration endpoint of several
// nodes) is not supported: servers that learn of a new node at different times would look for one session on two nodes.
//
// A session lives on one node and nowhere else: it is lost when the node restarts, or when it runs out of memory and
// evicts the session before its time. What is gone stays gone.
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
	// maxBytes is the limit of DynamoDB, the smallest of the shared stores: what fits here fits there.
	maxBytes = 400_000
	// maxItem is below the largest item of a server's default configuration, 1 MiB with its header. A session of maxBytes
	// may exceed it in JSON when it has little but control characters. It must not be sent: a server that refuses an item
	// for its size may drop the one it replaces.
	maxItem = 1_000_000
	// maxIdle is how many connections to a node are kept for the next request.
	maxIdle = 256
)

// Options configure a Store.
type Options struct {
	// Addresses are host:port of the nodes, at least one. Each session has its node, by rendezvous hashing of its id. Every
	// server must have the same list, in any order; adding or removing one of n nodes loses about 1/n of the sessions.
	Addresses []string
	// TLS turns on TLS.
	TLS bool
	// RootCAs, when not nil, are the certificate authorities that TLS trusts instead of the system's.
	RootCAs *x509.CertPool
	// Prefix begins every key; default "session:". At most 200 bytes, without spaces and control characters.
	Prefix string
	// Timeout bounds each dial and each exchange with a node, for as long as nobody waits for it any more; default 1 s.
	Timeout time.Duration
}

// Store keeps sessions in Memcached. Create one with New.
type Store struct {
	prefix    string
	client    *memcache.Client
	conflicts atomic.Int64
}

var _ session.Store = (*Store)(nil)

// New returns a Store that connects when it is first used. The error is that of Addresses that are none, or malformed.
// Close it after use.
func New(o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = "session:"
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

// Close closes the store's connections.
func (s *Store) Close() error { return s.client.Close() }

// Promises declares that the promises are kept while the session's node keeps the session: a node that restarts, or that
// evicts sessions for want of memory, loses them, with what was acknowledged. A renewal is two steps, because Memcached
// has no transactions, and the nodes of two sessions may differ. There is no list of a user's sessions.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "memcached", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, Mutable: true,
		MaxBytes: maxBytes,
	}
}

// Conflicts returns how often, since the store was made, another request came between reading a session and writing it, so
// that the changes were applied anew. It is for metrics: each costs two exchanges with the node.
func (s *Store) Conflicts() int64 { return s.conflicts.Load() }

// Ping asks every node.
func (s *Store) Ping(ctx context.Context) error {
	_, err := await(ctx, func() (struct{}, error) { return struct{}{}, s.client.Ping() })
	return err
}

// Create stores a new session.
func (s *Store) Create(ctx context.Context, id session.ID, record session.Record) error {
	value, err := encode(entry{}, record, maxItem)
	if err != nil {
		return err
	}
	item := &memcache.Item{Key: s.key(id), Value: value, Expiration: lifetime(record.Created, expires(record))}
	_, err = await(ctx, func() (struct{}, error) { return struct{}{}, s.client.Add(item) })
	if errors.Is(err, memcache.ErrNotStored) {
		return fmt.Errorf("session %s exists", id)
	}
	return err
}

// Load reads a session.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return await(ctx, func() (session.Record, error) {
		_, f, err := s.read(id, now)
		if err != nil {
			return session.Record{}, err
		}
		return f.record, nil
	})
}

// Update applies the changes to what it reads, and writes that if nobody wrote in between; else it begins anew.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	f, err := s.replace(ctx, id, u.Now, func(item *memcache.Item, f *found) (err error) {
		if f.record.Values, err = session.Apply(f.record.Values, u.Changes); err != nil {
			return err
		}
		if f.record.Size() > maxBytes {
			return session.ErrTooLarge
		}
		f.record.IdleExpires = u.IdleExpires
		item.Expiration = lifetime(u.Now, expires(f.record))
		item.Value, err = encode(f.entry, f.record, maxItem)
		return err
	})
	if err != nil {
		return session.Record{}, err
	}
	return f.record, nil
}

// replace writes what change makes of a live session, as long as ctx lasts. It begins anew only when the node says that
// it wrote nothing: without an answer it may have, and an addition would count twice. With ErrEnded it returns what is
// kept.
func (s *Store) replace(ctx context.Context, id session.ID, now time.Time, change func(*memcache.Item, *found) error) (found, error) {
	return await(ctx, func() (found, error) {
		for ctx.Err() == nil {
			item, f, err := s.read(id, now)
			if err != nil {
				return f, err
			}
			if err := change(item, &f); err != nil {
				return found{}, err
			}
			written, err := s.swap(item)
			switch {
			case errors.Is(err, memcache.ErrCacheMiss):
				return found{}, session.ErrNotFound
			case err != nil:
				return found{}, err
			case written:
				return f, nil
			}
		}
		return found{}, ctx.Err()
	})
}

// swap writes an item that was read unless another request has written it since, and reports whether it did.
func (s *Store) swap(item *memcache.Item) (bool, error) {
	err := s.client.CompareAndSwap(item)
	if errors.Is(err, memcache.ErrCASConflict) {
		s.conflicts.Add(1)
		return false, nil
	}
	return err == nil, err
}

// read returns a session with the item that it was in. With ErrEnded it returns what is kept of it.
func (s *Store) read(id session.ID, now time.Time) (*memcache.Item, found, error) {
	item, err := s.client.Get(s.key(id))
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, found{}, session.ErrNotFound
	}
	if err == nil && item.Key != s.key(id) {
		err = errors.New("the node answers with another key's item")
	}
	if err == nil && item.CasID == 0 {
		err = errors.New("the node runs without cas (option -C): updates would be lost")
	}
	if err != nil {
		return nil, found{}, err
	}
	f, err := decode(item.Value, now)
	return item, f, err
}

func (s *Store) key(id session.ID) string { return s.prefix + id.String() }

// await returns what f does, or ctx's error when that comes first: the client knows no contexts. What f began then ends
// by itself, within a few of the client's timeouts.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
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

// lifetime returns the expiry of an item that is of use until then, and MaxClockSkew longer: readers check expiry themselves
// and nodes keep time by the second, or less well. Up to 30 days are sent as a span, so that the node's clock doesn't
// matter; more is taken for a timestamp (memcached's protocol.txt, "Expiration times"), and sent as one. The client can
// say none after January 2038; from there it is 30 days, from the last update.
func lifetime(now, until time.Time) int32 {
	const (
		slack   = session.MaxClockSkew
		longest = 30 * 24 * time.Hour
	)
	left, at := until.Add(slack).Sub(now), until.Add(slack+time.Second-1).Unix()
	switch {
	case left <= longest-time.Second:
		return int32(max(time.Second, left+time.Second-1) / time.Second) // #nosec G115 -- at most thirty days
	case at > math.MaxInt32:
		return int32(longest / time.Second)
	default:
		return int32(at) // #nosec G115 -- compared above
	}
}
