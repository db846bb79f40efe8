package cost

import (
	"math"
	"time"
)

// Traffic is what visitors do, all day.
type Traffic struct {
	// RequestsPerSecond are those of all visitors together.
	RequestsPerSecond float64 `json:"requests_per_second"`
	// Sessions is how many are live at once.
	Sessions float64 `json:"sessions"`
	// SessionBytes is the size of one, as session.Record counts it.
	SessionBytes float64 `json:"session_bytes"`
	// ReadsPerWrite is how many requests read their session for each that changes it.
	ReadsPerWrite float64 `json:"reads_per_write"`
	// Untouched is the share, from 0 to 1, of the requests that don't use their session.
	Untouched float64 `json:"untouched"`
	// Logins is the share, from 0 to 1, of the sessions in which somebody logs in, once. These requests are among those that
	// change their session.
	Logins float64 `json:"logins"`
	// ResponseBytes is the size of a response, apart from cookies and headers.
	ResponseBytes float64 `json:"response_bytes"`
	// IdleTimeout is that of the sessions.
	IdleTimeout time.Duration `json:"idle_timeout_ns"`
}

// Scaled is the traffic of more or fewer visitors who do the same.
func (t Traffic) Scaled(factor float64) Traffic {
	t.RequestsPerSecond *= factor
	t.Sessions *= factor
	return t
}

// The kinds of requests, as what they cost differs.
const (
	Untouched = "untouched" // doesn't use its session
	Read      = "read"      // reads it
	Extend    = "extend"    // reads it, and the session is due to be extended
	Write     = "write"     // changes it without reading
	Start     = "start"     // changes it, and there is none yet
	Login     = "login"     // logs in, in a session that nobody is logged in to, without reading it first
)

// extendShare is which part of its idle timeout a session must have been idle for a read to extend it: see
// session.Manager.
const extendShare = 0.1

// rates are the requests a second of each kind.
//
// Visitors come at random moments (a Poisson process), and a session lives as long as its idle timeout at least, so that no
// more of them start than end. A read extends its session when nothing has for a tenth of the idle timeout; a write always
// does. So the time between two extensions is the time to the next write if that comes within the tenth, and else the tenth
// and the time to the next request of either kind.
func (t Traffic) rates() map[string]float64 {
	using := t.RequestsPerSecond * (1 - t.Untouched)
	write := using / (1 + t.ReadsPerWrite)
	read := using - write
	rates := map[string]float64{Untouched: t.RequestsPerSecond - using}
	if t.Sessions > 0 {
		rates[Start] = math.Min(write, t.Sessions/t.IdleTimeout.Seconds())
		rates[Extend] = math.Min(read, t.Sessions*extensions(read/t.Sessions, write/t.Sessions, extendShare*t.IdleTimeout.Seconds()))
	}
	rates[Login] = math.Min(write-rates[Start], t.Logins*rates[Start])
	rates[Write] = write - rates[Start] - rates[Login]
	rates[Read] = read - rates[Extend]
	return rates
}

// extensions is how often a second reads extend one session that is read and written at these rates a second.
func extensions(read, write, tenth float64) float64 {
	if read == 0 {
		return 0
	}
	quiet := math.Exp(-write * tenth) // nothing was written within the tenth
	within := tenth
	if write > 0 {
		within = (1 - quiet) / write
	}
	return quiet * read / (read + write) / (within + quiet/(read+write))
}

// connections of visitors to the load balancer: how many are made a second, and how many are open. Each visitor has one,
// which is closed when it was idle for that long.
func (t Traffic) connections(idle time.Duration) (made, open float64) {
	if t.Sessions == 0 {
		return t.RequestsPerSecond, t.RequestsPerSecond
	}
	closed := math.Exp(-t.RequestsPerSecond / t.Sessions * idle.Seconds()) // the next request is too late
	return t.RequestsPerSecond * closed, t.Sessions * (1 - closed)
}
