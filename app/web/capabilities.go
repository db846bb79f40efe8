package web

import (
	"cmp"

	"stateless-servers/session"
)

// limits are what the session store means for the application. They alone decide what the page says of the store, which
// of its controls are off, and which routes answer 501. A field No… says, to visitors, why something can't be done; it
// is empty where it can.
type capabilities struct {
	StoreName   string
	Meaning     string   // of the store
	Limitations []string // what the store doesn't promise, a sentence each

	NoChange       string // of a session
	NoUserSessions string // neither a list of them nor their end
	NoBoard        string
	NoScore        string // to record

	Begin string // how a session begins
	End   string // what its expiry is
}

// capabilitiesOf tells the limits of a store that keeps the promises, with a leaderboard or without.
func capabilitiesOf(p session.Promises, hasBoard bool) capabilities {
	l := capabilities{
		Begin: "It starts with the first thing that you do here; looking at the page starts none.",
		End:   "Ends if unused",
	}
	l.StoreName, l.Meaning = describeStore(p.Name)
	if !p.Changes {
		l.NoChange = "This store can’t change a session after login."
		l.Begin, l.End = "It starts when you log in.", "Ends"
	}
	if !p.ByUser {
		l.NoUserSessions = "This store can’t list where you are logged in, nor log you out everywhere."
	}
	if !hasBoard {
		l.NoBoard = "There is no leaderboard with this store."
	}
	l.NoScore = cmp.Or(l.NoChange, l.NoBoard)
	for _, promise := range []struct {
		kept  bool
		limit string
	}{
		{p.Shared, "Your session is on one server alone; the others don’t know it."},
		{p.Changes, l.NoChange},
		{p.NoLostUpdate || !p.Changes, "When you change things twice at the same moment, one of the changes may be lost."},
		{p.ReadYourWrites || !p.Changes, "Right after a change, you may still be shown how it was before."},
		{p.LogoutIsFinal, "Logout makes this browser forget the session, but a copy of its cookie still works until it expires."},
		{!p.OneRegion, "Other regions have copies of your session. Of two changes at the same moment in different regions, one " +
			"is lost, and it may undo a logout."},
		{p.ByUser, l.NoUserSessions},
	} {
		if !promise.kept {
			l.Limitations = append(l.Limitations, promise.limit)
		}
	}
	return l
}

// describeStore returns a store's name for visitors, and what it means for them.
func describeStore(store string) (name, meaning string) {
	switch store {
	case "memory":
		return "Server memory", "Each server keeps the sessions that it started, in its own memory, until it stops."
	case "valkey":
		return "Valkey", "All servers share one fast store in memory, so any of them can answer you, and any of them can go."
	case "redis":
		return "Redis", "All servers share one fast store in memory, so any of them can answer you, and any of them can go."
	case "memcached":
		return "Memcached", "All servers share one fast cache in memory, so any of them can answer you; " +
			"when the cache restarts or runs full, it forgets sessions."
	case "dynamodb":
		return "Amazon DynamoDB", "All servers share one durable table, so any of them can answer you, and any of them can go."
	case "postgres":
		return "PostgreSQL", "All servers share one table of a database, so any of them can answer you, and any of them can go."
	case "cookie":
		return "Your own cookie", "Your browser keeps the whole session, encrypted, and sends it with every request, " +
			"so any server can answer you and none keeps anything."
	case "token":
		return "A signed token", "Your browser keeps a note of who you are, signed by the servers, and sends it with every " +
			"request, so any server can answer you and none keeps anything."
	default:
		return store, "This is where your session lives between two requests."
	}
}
