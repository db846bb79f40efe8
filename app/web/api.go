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

// The keys of the session.
const (
	visits    = session.Counter("visits")
	cart      = session.Counters("cart")        // quantities by SKU
	lastScore = session.Key[int64]("lastscore") // the visitor's last score
)

// sessionState is the response of GET /api/session.
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

	id    session.ID
	ended bool // the session was ended elsewhere, a short time ago
}

// state returns the session. It writes nothing.
func (s *server) state(ctx context.Context) (sessionState, error) {
	info, found, err := session.From(ctx).Info(ctx)
	if err != nil {
		return sessionState{}, err
	}
	state := sessionState{
		Server: s.Server, Zone: s.Zone, Store: s.Sessions.Promises().Name, Authenticated: info.User != "", User: info.User,
	}
	if found {
		state.id, state.Created, state.Expires = info.ID, truncateToSecond(info.Created), truncateToSecond(info.Expires)
	} else if state.ended, err = session.From(ctx).Ended(ctx); err != nil {
		return sessionState{}, err
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

// truncateToSecond truncates t to the precision that every store supports.
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

// addTo adds n to a counter of the session and returns its new value, in one store operation.
func addTo(ctx context.Context, counter session.Counter, n int64) (int64, error) {
	counter.Add(ctx, n)
	return counter.Get(ctx)
}

// maxQuantity bounds the change of a line of the cart by one request.
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

// adjustLine adds quantity, which may be negative, to a line of the cart and returns the cart. A line doesn't stay below 0.
//
// To read the line first and subtract at most its value would be a race: a concurrent request could remove the same items.
// So adjustLine subtracts first. If the result is negative, it adds the missing items back, at most as many as it removed.
// Additions are atomic, so exactly one request sees each missing item. Whatever requests overlap, the line ends at 0 or
// above, no request removes more than it asked for, and added items stay until they are removed.
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

// cartLines returns the lines above 0. A line below 0 is about to be corrected by another request.
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
	// This creates a session if there is none. The name on the board depends on it.
	lastScore.Set(ctx, score)
	info, _, err := session.From(ctx).Info(ctx)
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	// Record the score even if the client disconnects, because the session already has it.
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

// playerName returns the visitor's name on the leaderboard. With a Login it reveals neither the user's name nor the subject.
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
