package leaderboard

import (
	"context"
	"sync"
)

// Memory is a Board in the memory of the process, for tests and for a server that also keeps its sessions there.
type Memory struct {
	mu   sync.Mutex
	best map[string]int64
}

var _ Board = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{best: map[string]int64{}} }

// Record stores the score unless the name has an equal or better one. It never fails.
func (m *Memory) Record(_ context.Context, name string, score int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if best, ok := m.best[name]; ok && best >= score {
		return nil
	}
	m.best[name] = score
	if len(m.best) > maxNames {
		m.deleteWorst()
	}
	return nil
}

// Top returns the best entries. It never fails.
func (m *Memory) Top(context.Context) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := make([]Entry, 0, len(m.best))
	for name, score := range m.best {
		entries = append(entries, Entry{name, score})
	}
	return best(entries), nil
}

func (m *Memory) deleteWorst() {
	var worst Entry
	found := false
	for name, score := range m.best {
		if entry := (Entry{name, score}); !found || compareEntries(worst, entry) < 0 {
			worst, found = entry, true
		}
	}
	delete(m.best, worst.Name)
}
