package cost

import (
	"math"
	"time"
)

// Traffic describes the visitors of a deployment. It is assumed to be constant.
type Traffic struct {
	// RequestsPerSecond is the rate of all visitors together.
	RequestsPerSecond float64 `json:"requests_per_second"`
	// Sessions is the number of sessions that are live at once.
	Sessions float64 `json:"sessions"`
	// SessionBytes is the size of a session, as session.Record counts it.
	SessionBytes float64 `json:"session_bytes"`
	// ReadsPerWrite is the number of requests that read their session for each request that changes it.
	ReadsPerWrite float64 `json:"reads_per_write"`
	// Untouched is the share, from 0 to 1, of the requests that don't use their session.
	Untouched float64 `json:"untouched"`
	// Logins is the share, from 0 to 1, of the sessions in which somebody logs in, once. These requests are among those that
	// change their session.
	Logins float64 `json:"logins"`
	// ResponseBytes is the size of a response without its headers.
	ResponseBytes float64 `json:"response_bytes"`
	// IdleTimeout is the idle timeout of the sessions.
	IdleTimeout time.Duration `json:"idle_timeout_ns"`
}

// Scaled returns the traffic with factor times as many visitors.
func (t Traffic) Scaled(factor float64) Traffic {
	t.RequestsPerSecond *= factor
	t.Sessions *= factor
	return t
}

// The kinds of requests, the keys in Counts.
const (
	Untouched = "untouched" // doesn't use its session
	Read      = "read"      // reads it
	Extend    = "extend"    // reads it, and the session is due to be extended
	Write     = "write"     // changes it without reading
	Start     = "start"     // changes it, and there is none yet
	Login     = "login"     // logs in, in a session that nobody is logged in to, without reading it first
)

// touchAfter is the default of session.Options.TouchAfter, the share of the idle timeout after which a read extends the session.
const touchAfter = 0.5

// rates returns the requests per second of each kind.
//
// Requests are assumed to arrive at random (a Poisson process). A session lives at least as long as its idle timeout, which
// bounds the sessions that start per second. A read extends its session if nothing else has for the share touchAfter of the idle
// timeout; a write always does. So the time between two extensions is the time to the next write if it comes within that time, and
// otherwise that time plus the time to the next request of either kind.
func (t Traffic) rates() map[string]float64 {
	using := t.RequestsPerSecond * (1 - t.Untouched)
	write := using / (1 + t.ReadsPerWrite)
	read := using - write
	rates := map[string]float64{Untouched: t.RequestsPerSecond - using}
	if t.Sessions > 0 {
		rates[Start] = math.Min(write, t.Sessions/t.IdleTimeout.Seconds())
		rates[Extend] = math.Min(read, t.Sessions*extensionRate(read/t.Sessions, write/t.Sessions, touchAfter*t.IdleTimeout.Seconds()))
	}
	rates[Login] = math.Min(write-rates[Start], t.Logins*rates[Start])
	rates[Write] = write - rates[Start] - rates[Login]
	rates[Read] = read - rates[Extend]
	return rates
}

// extensionRate returns how often per second reads extend a session. Read and write are its requests per second, and a read extends
// it if nothing else has for the given seconds.
func extensionRate(read, write, seconds float64) float64 {
	if read == 0 {
		return 0
	}
	quiet := math.Exp(-write * seconds) // probability of no write within that time
	within := seconds
	if write > 0 {
		within = (1 - quiet) / write
	}
	return quiet * read / (read + write) / (within + quiet/(read+write))
}

// connections returns the visitors' connections to the load balancer: how many are made per second, and how many are open. Each
// visitor has one, which the load balancer closes after it was idle for that long.
func (t Traffic) connections(idle time.Duration) (made, open float64) {
	if t.Sessions == 0 {
		return t.RequestsPerSecond, t.RequestsPerSecond
	}
	closed := math.Exp(-t.RequestsPerSecond / t.Sessions * idle.Seconds()) // probability that the next request comes later
	return t.RequestsPerSecond * closed, t.Sessions * (1 - closed)
}
