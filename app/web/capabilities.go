package web

import "cmp"

// capabilities describe what the application can do with its session store. They decide what the page says about the store,
// which controls are disabled, and which routes respond with 501. A field No… is the reason, for visitors, why something
// isn't possible. It is empty if it is possible.
type capabilities struct {
	StoreName   string
	Meaning     string   // what the store means for visitors
	Shared      bool     // any server finds the session
	Tagline     string   // who answers, and what that means for the session
	Holder      string   // what keeps the session, such as "Valkey"
	Loss        string   // how the session may have got lost
	Limitations []string // a sentence for each promise that the store doesn't keep

	NoChange           string // why a session can't change
	NoUserSessions     string // why a user's sessions can't be listed
	NoLogoutEverywhere string // why a user's sessions can't be ended
	NoBoard            string // why there is no leaderboard
	NoScore            string // why scores can't be recorded

	Begin string // when a session begins
	End   string // the label of its expiry
}

func capabilitiesOf(o Options) capabilities {
	p := o.Sessions.Promises()
	c := capabilities{
		Begin: "It starts with the first thing that you do here; looking at the page starts none.",
		End:   "Ends if unused",
	}
	c.StoreName, c.Meaning = describeStore(p.Name)
	c.Shared, c.Tagline, c.Holder = p.Shared, "Any server may answer.", c.StoreName
	if o.Sticky {
		c.Tagline = "One server answers you while it runs."
	}
	switch {
	case p.Name == "cookie" || p.Name == "token":
		c.Tagline += " Your browser carries the session."
		c.Holder, c.Loss = "your browser", "your browser lost it, or the servers don’t accept it any more"
	case p.Shared:
		c.Tagline += " The session follows."
	case o.Sticky:
		c.Tagline += " Your session ends with it."
		c.Holder = "the memory of " + o.Server
	default:
		c.Tagline += " Each knows only its own sessions."
		c.Holder = "the memory of " + o.Server
	}
	c.Loss = cmp.Or(c.Loss, c.Holder+" lost it")
	if !p.Mutable {
		c.NoChange = "This store can’t change a session after login."
		c.Begin, c.End = "It starts when you log in.", "Ends"
	}
	if !p.ListsByUser {
		c.NoUserSessions = "This store can’t list where you are logged in, nor log you out everywhere."
		c.NoLogoutEverywhere = c.NoUserSessions
	}
	copied := "Logout makes this browser forget the session, but a copy of its cookie still works until it expires."
	if p.LogoutFinalWithin > 0 {
		c.NoUserSessions, c.NoLogoutEverywhere = "This store can’t list where you are logged in.", ""
		copied = "After a logout, other servers may accept a copy of your cookie for " + p.LogoutFinalWithin.String() + "."
	}
	if o.Board == nil {
		c.NoBoard = "There is no leaderboard with this store."
	}
	c.NoScore = cmp.Or(c.NoChange, c.NoBoard)
	for _, promise := range []struct {
		kept  bool
		limit string
	}{
		{p.Shared, "Your session is on one server alone; the others don’t know it."},
		{p.Mutable, c.NoChange},
		{p.NoLostUpdate || !p.Mutable, "When you change things twice at the same moment, one of the changes may be lost."},
		{p.ReadYourWrites || !p.Mutable, "Right after a change, you may still be shown how it was before."},
		{p.LogoutIsFinal, copied},
		{!p.OneRegion, "Other regions have copies of your session. Of two changes at the same moment in different regions, one " +
			"is lost, and it may undo a logout."},
		{p.ListsByUser, c.NoUserSessions},
	} {
		if !promise.kept {
			c.Limitations = append(c.Limitations, promise.limit)
		}
	}
	return c
}

// describeStore returns a store's name and its meaning for visitors.
func describeStore(store string) (name, meaning string) {
	switch store {
	case "memory":
		return "Server memory", "Each server keeps the sessions that it started, in its own memory, until it stops."
	case "valkey":
		return "Valkey", "All servers share one fast store in memory, so any of them can answer you, and any of them can be stopped."
	case "redis":
		return "Redis", "All servers share one fast store in memory, so any of them can answer you, and any of them can be stopped."
	case "memcached":
		return "Memcached", "All servers share one fast cache in memory, so any of them can answer you; " +
			"when the cache restarts or runs full, it forgets sessions."
	case "dynamodb":
		return "Amazon DynamoDB", "All servers share one durable table, so any of them can answer you, and any of them can be stopped."
	case "postgres":
		return "PostgreSQL", "All servers share one table of a database, so any of them can answer you, and any of them can be stopped."
	case "cookie":
		return "Your own cookie", "Your browser keeps the whole session, encrypted, and sends it with every request, " +
			"so any server can answer you and none keeps anything."
	case "token":
		return "A signed token", "Your browser keeps a note of who you are, signed by the servers, and sends it with every " +
			"request, so any server can answer you and none keeps anything."
	default:
		return store, "This store keeps your session between two requests."
	}
}
