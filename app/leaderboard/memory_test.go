package leaderboard

import (
	"fmt"
	"testing"
)

func TestMemoryKeepsTheBestOnly(t *testing.T) {
	m := NewMemory()
	for i := range int64(kept + 5) {
		m.Record(t.Context(), fmt.Sprintf("player-%04d", i), i)
	}
	if len(m.best) != kept {
		t.Errorf("%d names are kept, want %d", len(m.best), kept)
	}
	if _, found := m.best["player-0004"]; found {
		t.Error("one of the five worst was kept")
	}
}
