package leaderboard

import (
	"context"
	"fmt"

	"github.com/valkey-io/valkey-go"
)

// valkeyKey is the one key of the board, so that it stays together on a cluster.
const valkeyKey = "leaderboard"

// Valkey is a Board in Valkey or Redis OSS 6.2 and newer: one sorted set. It keeps the scores negated, since a sorted
// set orders equal scores by name in ascending order only.
type Valkey struct {
	client func(context.Context) (valkey.Client, error)
}

var _ Board = (*Valkey)(nil)

// NewValkey returns a Board that asks for its client on every call, so that a server may start before its store does.
func NewValkey(client func(context.Context) (valkey.Client, error)) *Valkey { return &Valkey{client} }

// Record keeps the score unless the name has a better one.
func (v *Valkey) Record(ctx context.Context, name string, score int64) error {
	c, err := v.client(ctx)
	if err != nil {
		return fmt.Errorf("record a score: %w", err)
	}
	for _, answer := range c.DoMulti(ctx,
		c.B().Zadd().Key(valkeyKey).Lt().ScoreMember().ScoreMember(float64(-score), name).Build(),
		c.B().Zremrangebyrank().Key(valkeyKey).Start(kept).Stop(-1).Build(),
	) {
		if err := answer.Error(); err != nil {
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
		c.B().Zrange().Key(valkeyKey).Min("0").Max(fmt.Sprint(Places-1)).Withscores().Build()).AsZScores()
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	entries := make([]Entry, len(scores))
	for i, s := range scores {
		entries[i] = Entry{s.Member, int64(-s.Score)}
	}
	return entries, nil
}
