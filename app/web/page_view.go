package web

import (
	"cmp"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"stateless-servers/app/leaderboard"
)

// homeDocument returns the page. static/style.css and static/script.js use its ids, classes and data attributes.
func homeDocument(p homePage) g.Node {
	data := h.P(
		g.Text("As JSON: "), h.A(h.Href("/api/session"), g.Text("your session")),
		g.If(p.NoBoard == "", g.Group{g.Text(", "), h.A(h.Href("/api/leaderboard"), g.Text("the leaderboard"))}),
		g.Text("."),
	)
	bar := g.Group{
		h.P(g.Text(p.Tagline)),
		g.If(p.FleetPage != "", h.A(h.Href(p.FleetPage), g.Text("The fleet"))),
	}
	return document(p.Server, bar, data,
		lostPanel(p),
		hero(p),
		responsesPanel(p),
		h.Div(h.Class("grid"),
			visitsPanel(p),
			sessionPanel(p),
			storePanel(p),
			cartPanel(p),
			gamePanel(p),
			boardPanel(p),
		),
		g.If(p.Authenticated, sessionsPanel(p)),
		postForm("/logout", h.ID("afresh"), g.Attr("hidden"), h.Button(h.Class("quiet"), g.Text("Start afresh"))),
	)
}

func lostPanel(p homePage) g.Node {
	if p.Lost.id == "" {
		return nil
	}
	class := "hero failure"
	if p.Lost.cause == causeEnded || p.Lost.cause == causeExpired {
		class += " usual"
	}
	title, text := p.explain(p.Lost)
	return h.Section(h.Class(class), h.ID("lost"), h.Role("alert"),
		h.H2(g.Text(title)),
		h.P(g.Text(text)),
		g.If(p.Created != nil, h.P(g.Text("A new session began on "), timeElement(p.Created), g.Text("."))),
		g.If(p.ended, postForm("/logout", h.Button(g.Text("Start afresh")))),
	)
}

func hero(p homePage) g.Node {
	event := ""
	if p.Before != "" && p.Created != nil && p.Shared && p.Lost.id == "" {
		event = p.Before + " answered before. Your session came along."
	}
	return h.Section(h.Class("hero "+p.Hero.class()), h.ID("hero"),
		h.Div(
			h.H1(
				h.Span(h.Class("label"), g.Text("Answered by")), space(),
				h.Span(h.Class("name"), h.ID("server"), g.Text(p.Server)),
			),
			h.P(h.Class("where"), g.Text("in zone "), h.B(h.ID("zone"), g.Text(p.Zone))),
			h.P(h.ID("no-session"), h.Class("where"), hiddenIf(p.Created != nil), g.Text("You have no session yet. "+p.Begin)),
			h.P(h.Class("where"), g.Attr("data-session"), hiddenIf(p.Created == nil),
				g.Text("Your session began on "), timeElement(p.Created, h.Data("time", "created")), g.Text(" and lives in "+p.Holder+".")),
			h.P(h.ID("event"), g.Text(event)),
		),
		h.P(h.Class("number"), h.ID("number"), ariaHidden(), g.Text(strconv.Itoa(p.Hero.Number))),
	)
}

func (a servedResponse) class() string { return "server-" + strconv.Itoa(a.Colour()) }

func responsesPanel(p homePage) g.Node {
	tile := func(a servedResponse) g.Node {
		if a.Server == "" {
			return h.Li(h.Class("none"), ariaHidden())
		}
		return h.Li(h.Class(a.class()), h.Data("server", a.Server),
			h.Span(ariaHidden(), g.Text(strconv.Itoa(a.Number))),
			h.Span(h.Class("unseen"), g.Text(a.Server)),
		)
	}
	entry := func(a servedResponse) g.Node {
		return h.Li(
			h.Span(h.Class("tile "+a.class()), ariaHidden(), g.Text(strconv.Itoa(a.Number))), space(),
			h.Span(g.Text(a.Server)), space(),
			h.Span(h.Class("count"), g.Text(strconv.Itoa(a.Count))),
		)
	}
	return panel("panel strip", "strip", "The last twenty answers",
		h.Ol(h.Class("tiles"), h.ID("tiles"), g.Map(p.Responses, tile)),
		h.Ul(h.Class("legend"), h.ID("legend"), g.Map(p.Legend, entry)),
	)
}

func visitsPanel(p homePage) g.Node {
	return panel("panel", "visits", "Visits",
		h.P(h.Class("figure"), h.ID("visits"), g.Text(integer(p.Visits))),
		h.P(g.Text("Each visit adds one to a counter in your session.")),
		controls(p.NoChange,
			postForm("/api/visits", h.ID("visit-form"), h.Class("row"),
				h.Button(g.Text("Count a visit")),
				h.Button(h.Type("button"), h.Class("quiet"), h.ID("burst"), g.Attr("hidden"), g.Text("20 at once")),
			),
		),
		status(""),
	)
}

func sessionPanel(p homePage) g.Node {
	who, end := loginForm(p.ByProvider), "End the session"
	if p.Authenticated {
		who, end = h.P(h.Class("who"), g.Text("Logged in as "), h.B(g.Text(cmp.Or(p.Name, p.User)))), "Log out"
	}
	return panel("panel", "session", "Your session",
		who,
		h.Div(h.Class("stack"), g.Attr("data-session"), hiddenIf(p.Created == nil),
			h.Dl(h.Class("facts"),
				h.Div(h.Dt(g.Text(p.End)), h.Dd(timeElement(p.Expires, h.Data("time", "expires")))),
			),
			h.Div(h.Class("row"),
				postForm("/logout", h.Button(h.Class("quiet"), g.Text(end))),
				g.If(p.Authenticated && p.NoLogoutEverywhere == "",
					postForm("/logout/everywhere", h.Button(h.Class("quiet"), g.Text("Log out everywhere")))),
			),
		),
	)
}

func loginForm(byProvider bool) g.Node {
	if byProvider {
		return postForm("/login", h.Button(g.Text("Log in")))
	}
	return postForm("/login",
		h.Label(h.For("user"), g.Text("Log in with any name")),
		h.Div(h.Class("row"),
			h.Input(h.ID("user"), h.Name("user"), h.Required(), h.MaxLength(strconv.Itoa(maxUser)),
				h.AutoComplete("username"), g.Attr("autocapitalize", "none"), g.Attr("spellcheck", "false")),
			h.Button(g.Text("Log in")),
		),
		h.Label(h.Class("check"), h.Input(h.Type("checkbox"), h.Name("remember")), g.Text("Stay logged in")),
	)
}

func storePanel(p homePage) g.Node {
	promise := h.P(h.Class("kept"), g.Text("It loses no update, and a logout is final, whichever servers respond."))
	if len(p.Limitations) > 0 {
		promise = h.Ul(h.Class("limits"), g.Map(p.Limitations, func(limit string) g.Node { return h.Li(g.Text(limit)) }))
	}
	return panel("panel late", "store", "Where sessions live",
		h.P(h.Class("store"), g.Text(p.StoreName)),
		h.P(g.Text(p.Meaning)),
		promise,
	)
}

func cartPanel(p homePage) g.Node {
	return panel("panel", "cart", "Cart",
		controls(p.NoChange, h.Ul(h.Class("cart"), h.ID("cart"), g.Map(p.Products, cartItem))),
		h.P(h.Class("total"), g.Text("Total "), h.B(g.Text("$"), h.Span(h.ID("total"), g.Text(formatCents(p.Total))))),
		status(""),
	)
}

func cartItem(line cartLine) g.Node {
	step := func(quantity, label, sign string) g.Node {
		return h.Button(h.Name("quantity"), h.Value(quantity), h.Class("step"), h.Aria("label", label), g.Text(sign))
	}
	return h.Li(h.Data("sku", line.SKU), h.Data("cents", integer(line.Cents)),
		g.If(line.Quantity != 0, h.Class("filled")),
		h.Span(h.Class("emoji"), ariaHidden(), g.Text(line.Emoji)), space(),
		h.Span(h.Class("product"),
			h.Span(g.Attr("data-name"), g.Text(line.Name)), space(),
			h.Small(g.Text("$"+formatCents(line.Cents))),
		),
		postForm("/api/cart/"+line.SKU,
			step("-1", "Take one "+line.Name+" out", "−"),
			h.Span(h.Class("quantity"),
				h.Span(h.Class("unseen"), g.Text("In the cart: ")),
				h.Span(g.Attr("data-quantity"), g.Text(integer(line.Quantity))),
			),
			step("1", "Put one "+line.Name+" in", "+"),
		),
	)
}

func gamePanel(p homePage) g.Node {
	last := ""
	if p.HasScore {
		last = "Your last score: " + integer(p.LastScore)
	}
	die := func(face string) g.Node { return h.Li(h.Data("face", face)) }
	return panel("panel", "game", "Five dice",
		h.P(g.Text("A roll scores the sum of its dice times the most that are alike: "+
			"4 4 4 2 1 makes 15 × 3 = 45. Five sixes make 150.")),
		controls(p.NoScore,
			h.Div(h.ID("game"), g.Attr("hidden"),
				h.Ol(h.Class("dice"), h.ID("dice"), ariaHidden(), g.Map([]string{"1", "2", "3", "4", "5"}, die)),
				h.Button(h.Type("button"), h.ID("roll"), g.Text("Roll the dice")),
			),
			postForm("/api/scores", h.ID("score-form"),
				h.Label(h.For("score"), g.Text("Roll your own dice, and enter the score")),
				h.Div(h.Class("row"),
					h.Input(h.ID("score"), h.Name("score"), h.Type("number"), g.Attr("inputmode", "numeric"),
						h.Min("0"), h.Max(integer(maxScore)), h.Step("1"), h.Required()),
					h.Button(g.Text("Record it")),
				),
			),
		),
		status(last),
	)
}

func boardPanel(p homePage) g.Node {
	if p.NoBoard != "" {
		return panel("panel late", "board", "Leaderboard", reasonText(p.NoBoard))
	}
	row := func(e leaderboard.Entry) g.Node {
		return h.Li(g.If(e.Name == p.Player, h.Class("own")),
			h.Span(h.Class("player"), g.Text(e.Name)), space(),
			h.Span(h.Class("points"), g.Text(integer(e.Score))),
		)
	}
	return panel("panel late", "board", "Leaderboard",
		h.P(h.ID("board-fails"), hiddenIf(!p.BoardFails),
			g.Text("The leaderboard doesn’t answer right now. Everything else works.")),
		h.P(h.ID("board-empty"), hiddenIf(p.BoardFails || len(p.Board) > 0), g.Text("Nobody has rolled yet.")),
		h.Ol(h.Class("board"), h.ID("board"), h.Data("player", p.Player), g.Map(p.Board, row)),
	)
}

func sessionsPanel(p homePage) g.Node {
	return panel("panel stack", "sessions", "Where you are logged in", sessionsList(p))
}

func sessionsList(p homePage) g.Node {
	switch {
	case p.NoUserSessions != "":
		return reasonText(p.NoUserSessions)
	case p.SessionsFails:
		return h.P(g.Text("The list can’t be read right now."))
	case len(p.Sessions) == 0 && p.MoreSessions == "":
		return h.Ul(h.Class("sessions"),
			h.Li(g.Text("None is listed yet. A new login appears within moments.")))
	}
	item := func(s userSession) g.Node {
		return h.Li(
			h.Span(h.Class("agent"), g.Text(cmp.Or(s.UserAgent, "Unknown browser"))), space(),
			g.If(s.Current, g.Group{h.Span(h.Class("badge"), g.Text("this one")), space()}),
			h.Span(h.Class("times"),
				g.Text("started "), timeElement(s.Started), g.Text(", last seen "), timeElement(s.LastSeen)),
		)
	}
	return g.Group{
		g.If(len(p.Sessions) > 0, h.Ul(h.Class("sessions"), g.Map(p.Sessions, item))),
		g.If(p.MoreSessions != "", h.P(g.Text("Only the newest are shown. The list continues "),
			h.A(h.Href(p.MoreSessions), g.Text("as JSON")), g.Text("."))),
	}
}

func integer(n int64) string { return strconv.FormatInt(n, 10) }
