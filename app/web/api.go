package web

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"stateless-servers/app/leaderboard"
	"stateless-servers/session"
)

// What a session holds.
const (
	visits    = session.Counter("visits")
	cart      = session.Counters("cart")        // pieces by SKU
	lastScore = session.Key[int64]("lastscore") // what the visitor scored last
)

// sessionState is a session as GET /api/session shows it.
type sessionState struct {
	Server        string           `json:"server"`
	Zone          string           `json:"zone"`
	Store         string           `json:"store"`
	Authenticated bool             `json:"authenticated"`
	User          string           `json:"user"`
	Name          string           `json:"name,omitempty"` // with a Login
	Visits        int64            `json:"visits"`
	Cart          map[string]int64 `json:"cart"`
	Created       *time.Time       `json:"created"` // nil without a session
	Expires       *time.Time       `json:"expires"` // nil without a session
}

// state reads the session, and writes nothing.
func (s *server) state(ctx context.Context) (sessionState, error) {
	info, found, err := session.From(ctx).Info(ctx)
	if err != nil {
		return sessionState{}, err
	}
	state := sessionState{
		Server: s.Server, Zone: s.Zone, Store: s.Sessions.Promises().Name, Authenticated: info.User != "", User: info.User,
	}
	if found {
		state.Created, state.Expires = truncateToSecond(info.Created), truncateToSecond(info.Expires)
	}
	if s.Login != nil && state.Authenticated {
		if state.Name, _, err = displayName.Get(ctx); err != nil {
			return sessionState{}, err
		}
	}
	if state.Visits, err = visits.Get(ctx); err != nil {
		return sessionState{}, err
	}
	state.Cart, err = cartLines(ctx)
	return state, err
}

// truncateToSecond gives times the precision that every store keeps.
func truncateToSecond(t time.Time) *time.Time {
	t = t.UTC().Truncate(time.Second)
	return &t
}

func (s *server) getSession(w http.ResponseWriter, r *http.Request) {
	state, err := s.state(r.Context())
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	writeJSON(w, state)
}

func (s *server) addVisit(w http.ResponseWriter, r *http.Request) {
	n, err := addTo(r.Context(), visits, 1)
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	s.respond(w, r, struct {
		Visits int64  `json:"visits"`
		Server string `json:"server"`
	}{n, s.Server})
}

// addTo adds n to a counter of the session and returns its new value: one store operation.
func addTo(ctx context.Context, counter session.Counter, n int64) (int64, error) {
	counter.Add(ctx, n)
	return counter.Get(ctx)
}

// maxQuantity bounds by how much one request changes a line of the cart.
const maxQuantity = 1000

func (s *server) changeCart(w http.ResponseWriter, r *http.Request) {
	sku := r.PathValue("sku")
	if !isSold(sku) {
		writeError(w, r, http.StatusNotFound, badValueDetail("product", sku, "one of "+strings.Join(skus(), ", ")))
		return
	}
	quantity, ok := formInteger(w, r, "quantity", -maxQuantity, maxQuantity)
	if !ok {
		return
	}
	lines, err := adjustLine(r.Context(), sku, quantity)
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	s.respond(w, r, struct {
		Cart   map[string]int64 `json:"cart"`
		Server string           `json:"server"`
	}{lines, s.Server})
}

// adjustLine adds quantity, which may be negative, to a line of the cart and returns the cart.
//
// A line doesn't stay below 0. To read it first and then subtract no more than there is would be wrong: another request
// may take the same pieces in between. So the pieces are taken, and a request that finds that it took more than there
// were puts back what was too much of its own. The addition is atomic, hence each missing piece is found by exactly one
// request: whatever overlaps, the line ends at 0 or above, no request takes more than it asked for, and every piece that
// was put in stays until it is taken.
func adjustLine(ctx context.Context, sku string, quantity int64) (map[string]int64, error) {
	line := cart.Counter(sku)
	left, err := addTo(ctx, line, quantity)
	if err == nil && left < 0 && quantity < 0 {
		_, err = addTo(ctx, line, min(-left, -quantity))
	}
	if err != nil {
		return nil, err
	}
	return cartLines(ctx)
}

// cartLines returns the lines that hold something. A line below 0 is about to be put right by another request.
func cartLines(ctx context.Context) (map[string]int64, error) {
	lines, err := cart.All(ctx)
	for sku, quantity := range lines {
		if quantity <= 0 {
			delete(lines, sku)
		}
	}
	return lines, err
}

// maxScore bounds a score.
const maxScore = 1_000_000_000

func (s *server) addScore(w http.ResponseWriter, r *http.Request) {
	score, ok := formInteger(w, r, "score", 0, maxScore)
	if !ok {
		return
	}
	ctx := r.Context()
	// This starts a session where there is none: the name on the board comes from it.
	lastScore.Set(ctx, score)
	info, _, err := session.From(ctx).Info(ctx)
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	// A client that leaves doesn't stop what its session already says.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.BoardTimeout)
	defer cancel()
	player := s.playerName(info)
	if err := s.Board.Record(ctx, player, score); err != nil {
		writeUnavailable(w, r, s.Logger, "The leaderboard", err)
		return
	}
	s.respond(w, r, struct {
		Name   string `json:"name"`
		Score  int64  `json:"score"`
		Server string `json:"server"`
	}{player, score, s.Server})
}

// playerName is the visitor's name on the leaderboard. Of those whom a Login knows, it shows neither name nor subject.
func (s *server) playerName(info session.Info) string {
	switch {
	case info.User == "":
		return fmt.Sprintf("guest-%x", info.ID[:3])
	case s.Login != nil:
		sum := sha256.Sum256([]byte(info.User))
		return fmt.Sprintf("player-%x", sum[:4])
	default:
		return info.User
	}
}

func (s *server) getLeaderboard(w http.ResponseWriter, r *http.Request) {
	entries, err := s.top(r.Context())
	if err != nil {
		writeUnavailable(w, r, s.Logger, "The leaderboard", err)
		return
	}
	writeJSON(w, struct {
		Leaderboard []leaderboard.Entry `json:"leaderboard"`
		Server      string              `json:"server"`
	}{entries, s.Server})
}

func (s *server) top(ctx context.Context) ([]leaderboard.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, s.BoardTimeout)
	defer cancel()
	return s.Board.Top(ctx)
}
