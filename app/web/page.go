package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"stateless-servers/app/leaderboard"
	"stateless-servers/session"
)

// homePage is the data of homeDocument.
type homePage struct {
	sessionState
	capabilities
	ByProvider bool             // visitors log in at a provider
	FleetPage  string           // the address of a page about the fleet; empty if there is none
	Lost       trace            // a session that the visitor lost
	Hero       servedResponse   // the server of this response
	Before     string           // the server of the previous response, if it is another
	Responses  []servedResponse // the last servedLength responses, the oldest first
	Legend     []servedResponse // the servers of Responses
	Products   []cartLine
	Total      int64 // cents

	Player     string // the visitor's name on the leaderboard; empty without a session
	LastScore  int64
	HasScore   bool
	Board      []leaderboard.Entry
	BoardFails bool

	Sessions      []userSession // the newest
	MoreSessions  string        // the address of the next page; empty if there is none
	SessionsFails bool
}

// A servedResponse is a recent response, or in the legend all recent responses of a server.
type servedResponse struct {
	Server string // empty means none yet
	Number int
	Count  int
}

// Colour returns the number of the server's CSS class.
func (a servedResponse) Colour() int { return (a.Number - 1) % colours }

// A cartLine is a product and its quantity in the cart.
type cartLine struct {
	product
	Quantity int64
}

// page serves the page. It reads the session and writes nothing to it.
func (s *server) page(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	state, err := s.state(ctx)
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	info, found, err := session.From(ctx).Info(ctx)
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	home := homePage{sessionState: state, capabilities: s.capabilities, ByProvider: s.Login != nil, FleetPage: s.FleetPage}
	home.Lost = s.follow(w, r, state, state)
	if found {
		home.Player = s.playerName(info)
		// Ignore a score in the format of another version of this program.
		home.LastScore, home.HasScore, _ = lastScore.Get(ctx)
	}
	home.setResponses(s.recordServer(w, r))
	home.setCart(state.Cart)
	if home.NoBoard == "" {
		if home.Board, err = s.top(ctx); err != nil {
			home.BoardFails = true
			s.logFailure(ctx, "read the leaderboard for the page", err)
		}
	}
	if home.Authenticated && home.NoUserSessions == "" {
		list, next, err := listSessions(ctx, "", defaultListLimit)
		if err != nil {
			home.SessionsFails = true
			s.logFailure(ctx, "list a user's sessions for the page", err)
		}
		home.Sessions = list
		if next != "" {
			home.MoreSessions = "/api/sessions?cursor=" + url.QueryEscape(next)
		}
	}
	writePage(w, http.StatusOK, homeDocument(home))
}

// logFailure logs an error that the page can be shown without, unless the client has disconnected.
func (s *server) logFailure(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		s.Logger.ErrorContext(ctx, what, "error", err)
	}
}

func (h *homePage) setResponses(names []string) {
	numbers := serverNumbers(names)
	h.Hero = servedResponse{Server: h.Server, Number: numbers[h.Server]}
	if n := len(names); n > 1 && names[n-2] != h.Server {
		h.Before = names[n-2]
	}
	h.Responses = make([]servedResponse, servedLength-len(names))
	counts := map[string]int{}
	for _, name := range names {
		h.Responses = append(h.Responses, servedResponse{Server: name, Number: numbers[name]})
		counts[name]++
	}
	for name, count := range counts {
		h.Legend = append(h.Legend, servedResponse{name, numbers[name], count})
	}
	slices.SortFunc(h.Legend, func(a, b servedResponse) int { return strings.Compare(a.Server, b.Server) })
}

func (h *homePage) setCart(lines map[string]int64) {
	for _, p := range catalogue() {
		h.Products = append(h.Products, cartLine{p, lines[p.SKU]})
		h.Total += p.Cents * lines[p.SKU]
	}
}
