package load

import (
	"encoding/json"
	"time"

	"stateless-servers/lab/check"
)

// nothingShown is the body of a response that shows nothing of the session.
const nothingShown = "null"

// contractLifetime is the lifetime of sessions of servers that don't tell it.
const contractLifetime = 24 * time.Hour

// contractBody turns a response of a server that only follows the lab's contract into the form in which the sample application
// gives it. The contract has no dates of sessions, no empty fields, and no bodies of logins and logouts.
func contractBody(kind check.Kind, body []byte) []byte {
	var s struct {
		User   string           `json:"user"`
		Visits *int64           `json:"visits"`
		Cart   map[string]int64 `json:"cart"`
	}
	err := json.Unmarshal(body, &s)
	switch {
	case kind == check.Login, kind == check.Logout,
		kind == check.Write && (err != nil || s.Visits == nil), kind == check.Cart && (err != nil || s.Cart == nil):
		return []byte(nothingShown)
	case err != nil || kind != check.Read:
		return body
	}
	session := map[string]any{"authenticated": s.User != "", "user": s.User, "visits": int64(0), "cart": map[string]int64{}}
	if s.Visits != nil {
		session["visits"] = *s.Visits
	}
	if s.Cart != nil {
		session["cart"] = s.Cart
	}
	if s.User != "" || session["visits"] != int64(0) || len(s.Cart) > 0 {
		now := time.Now()
		session["created"], session["expires"] = now, now.Add(contractLifetime)
	}
	text, err := json.Marshal(session)
	if err != nil {
		return body
	}
	return text
}
