package load

import "sync"

// Bounds of the servers that are told apart: whatever answers may call itself anything, and another name each time.
const (
	mostServers   = 500
	longestServer = 100 // bytes
	otherServers  = "others"
)

// servers are the names of those that have answered. Its zero value is ready, and safe for concurrent use.
type servers struct {
	mu    sync.Mutex
	known map[string]bool
}

// name returns the name under which an answer of that server counts: its own, or otherServers beyond the bounds.
func (s *servers) name(own string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case own == "" || s.known[own]:
		return own
	case len(own) > longestServer || len(s.known) >= mostServers:
		return otherServers
	case s.known == nil:
		s.known = map[string]bool{}
	}
	s.known[own] = true
	return own
}
