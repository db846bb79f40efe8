package valkey

import (
	"context"
	"errors"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/session"
)

var _ session.ClusterStore = (*Store)(nil)

// errCrossSlot means that a script would need keys in different hash slots of a cluster.
var errCrossSlot = errors.New("renew a session: the new id is in another hash slot of the cluster")

// Renew adds the new session to its user's list, then moves the values to it with one script. On a cluster it fails while the
// hash slot of the two keys migrates to another node, because a script needs both keys on one node.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	fits, err := s.SameSlot(ctx, r.Old)
	if err != nil {
		return session.Record{}, err
	}
	if fits != nil && !fits(r.New) {
		return session.Record{}, errCrossSlot
	}
	if err := s.addToUserList(ctx, r.New, r.Record, r.Now); err != nil {
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
	return decodeReply(hash)
}

// SameSlot returns a function that reports whether the key of an id is in the same hash slot as the key of old. Without a
// cluster it returns nil, because every id is possible. See session.ClusterStore.
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
