package leaderboard

import (
	"context"
	"fmt"

	"github.com/valkey-io/valkey-go"
)

// valkeyKey is the key of the board. The board has a single key so that it is on one node of a cluster.
const valkeyKey = "leaderboard"

// Valkey is a Board in a sorted set of Valkey, or of Redis OSS 6.2 or newer. It negates the scores, because a sorted set
// orders the names of equal scores in the direction of the scores.
type Valkey struct {
	client func(context.Context) (valkey.Client, error)
}

var _ Board = (*Valkey)(nil)

// NewValkey returns a Board that gets its client from the function on every call, so that a server may start before its
// store.
func NewValkey(client func(context.Context) (valkey.Client, error)) *Valkey { return &Valkey{client} }

// Record stores the score unless the name has an equal or better one.
func (v *Valkey) Record(ctx context.Context, name string, score int64) error {
	c, err := v.client(ctx)
	if err != nil {
		return fmt.Errorf("record a score: %w", err)
	}
	for _, reply := range c.DoMulti(ctx,
		c.B().Zadd().Key(valkeyKey).Lt().ScoreMember().ScoreMember(float64(-score), name).Build(),
		c.B().Zremrangebyrank().Key(valkeyKey).Start(maxNames).Stop(-1).Build(),
	) {
		if err := reply.Error(); err != nil {
			return fmt.Errorf("record a score: %w", err)
		}
	}
	return nil
}

// Top returns the best entries.
func (v *Valkey) Top(ctx context.Context) ([]Entry, error) {
	c, err := v.client(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	scores, err := c.Do(ctx,
		c.B().Zrange().Key(valkeyKey).Min("0").Max(fmt.Sprint(MaxEntries-1)).Withscores().Build()).AsZScores()
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	entries := make([]Entry, len(scores))
	for i, s := range scores {
		entries[i] = Entry{s.Member, int64(-s.Score)}
	}
	return entries, nil
}
