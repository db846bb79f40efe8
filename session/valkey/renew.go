package valkey

import (
	"context"
	"errors"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/session"
)

var _ session.ClusterStore = (*Store)(nil)

// errSlots: a cluster executes no script of keys in different hash slots.
var errSlots = errors.New("renew a session: the new id is in another hash slot of the cluster")

// Renew enters the new session in its user's list, then moves the values to it in one script. On a cluster it fails while
// the hash slot of the two keys moves to another node, because a script can't use a key that neither node has yet.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	fits, err := s.SameSlot(ctx, r.Old)
	if err != nil {
		return session.Record{}, err
	}
	if fits != nil && !fits(r.New) {
		return session.Record{}, errSlots
	}
	if err := s.enter(ctx, r.New, r.Record, r.Now); err != nil {
		return session.Record{}, err
	}
	args := []string{millis(r.Now), "", "", r.Record.User, millis(earlier(r.Record.Expires, r.Record.IdleExpires))}
	if r.AllowRenewed {
		args[1] = "again"
	}
	if r.KeepValues {
		args[2] = "keep"
	}
	hash, err := s.run(ctx, s.renew, []string{s.key(r.Old), s.key(r.New)}, appendMeta(args, r.Record))
	if err != nil {
		return session.Record{}, err
	}
	return decodeText(hash)
}

// Place returns a function that reports whether the key of an id is in the hash slot of old's key; nil without a cluster,
// where every id does.
func (s *Store) SameSlot(ctx context.Context, old session.ID) (func(session.ID) bool, error) {
	c, err := s.Client(ctx)
	if err != nil {
		return nil, err
	}
	if c.Mode() != client.ClientModeCluster {
		return nil, nil
	}
	return sameSlot(s.prefix, old), nil
}
