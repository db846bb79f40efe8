// Package session keeps HTTP sessions in a store that all servers reach, so that any server behind a load balancer can
// take any request.
//
// A request records its changes as a short list of operations on keys (set, remove, add n). The store applies them
// atomically to the session's current state. A session is never read, changed, and written back whole. On every shared
// store this gives:
//
//   - No lost update: requests of one session may overlap on any servers. Changes of different keys all survive, and
//     every Add counts.
//   - Logout is final: a request still in flight never brings back a session that was ended or has expired.
//   - Acknowledged means stored: changes are sent before the first byte of the response, detached from the client's
//     cancellation. If that fails, the client gets an error instead of the handler's answer.
//   - Partial success loses nothing: whatever fails, the visitor keeps the old session or the new one, with its contents,
//     and has the cookie of the one that lives. If no answer reached him, a login with the old cookie within EndedFor
//     recovers the contents.
//   - Read your writes, on whichever server comes next.
//   - Laziness: a request that doesn't use its session costs no store operation. A read costs one, a change costs one and
//     brings the new state back with it, and so does a login.
//
// Each store declares which of these it keeps: see [Promises].
//
// A key has a type, and works on the context of a request:
//
//	const visits = session.Counter("visits")
//
//	func visit(w http.ResponseWriter, r *http.Request) {
//		visits.Add(r.Context(), 1)
//		n, err := visits.Get(r.Context()) // one store operation: it sends the addition and reads the new value
//		…
//	}
//
// [From] returns the session as a whole, for login and logout. Start reading at [Manager], which a server creates with
// [New] and puts around its handlers, and at [Store], which says what a store must do.
package session
