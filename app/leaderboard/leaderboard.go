// Package leaderboard keeps the best score of each name, where every server sees it.
package leaderboard

import (
	"cmp"
	"context"
	"slices"
)

// A Board keeps the best score of each name. Its methods are safe for concurrent use.
type Board interface {
	// Record keeps the score unless the name has a better one. Repeating it changes nothing.
	Record(ctx context.Context, name string, score int64) error
	// Top returns the best Places entries, the best first, and equal ones by name.
	Top(ctx context.Context) ([]Entry, error)
}

// Places is how many entries Top returns at most.
const Places = 10

// kept bounds how many names a Board keeps, where nothing else does: the best ones.
const kept = 1000

// An Entry is the best score of a name. Scores are from 0 to 2⁵³, the range in which every Board is exact.
type Entry struct {
	Name  string `json:"name"`
	Score int64  `json:"score"`
}

// rank orders the best first, and equal scores by name.
func rank(a, b Entry) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Name, b.Name))
}

func top(entries []Entry) []Entry {
	slices.SortFunc(entries, rank)
	return entries[:min(len(entries), Places)]
}
