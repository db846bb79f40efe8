package leaderboard

import (
	"fmt"
	"testing"
)

func TestMemoryKeepsOnlyTheBest(t *testing.T) {
	m := NewMemory()
	for i := range int64(maxNames + 5) {
		m.Record(t.Context(), fmt.Sprintf("player-%04d", i), i)
	}
	if len(m.best) != maxNames {
		t.Errorf("the board has %d names, want %d", len(m.best), maxNames)
	}
	if _, found := m.best["player-0004"]; found {
		t.Error("the board has one of the five worst names, want the best only")
	}
}
