// Package leaderboard stores the best score of each name, shared by all servers. Board is the interface; DynamoDB, Valkey,
// Postgres and Memory implement it in the respective store.
package leaderboard

import (
	"cmp"
	"context"
	"slices"
)

// A Board stores the best score of each name. Its methods are safe for concurrent use.
type Board interface {
	// Record stores the score unless the name has an equal or better one. It is idempotent.
	Record(ctx context.Context, name string, score int64) error
	// Top returns the best entries, at most MaxEntries, in descending order of scores and ascending order of names.
	Top(ctx context.Context) ([]Entry, error)
}

// MaxEntries is the maximum number of entries that Top returns.
const MaxEntries = 10

// maxNames is the number of names that a Board keeps, the best ones. The DynamoDB board has no such limit; its scores expire.
const maxNames = 1000

// An Entry is the best score of a name. Scores are from 0 to 2⁵³, the range in which every Board is exact.
type Entry struct {
	Name  string `json:"name"`
	Score int64  `json:"score"`
}

// compareEntries compares entries for sorting in the order of Top.
func compareEntries(a, b Entry) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Name, b.Name))
}

func best(entries []Entry) []Entry {
	slices.SortFunc(entries, compareEntries)
	return entries[:min(len(entries), MaxEntries)]
}
