// Package session keeps HTTP sessions in a store that all servers share, so that any server behind a load balancer can
// handle any request.
//
// A request records its changes as a list of operations on keys (set, remove, add n). The store applies them atomically to
// the current state of the session. No server reads a whole session, changes it, and writes it back. A shared store that
// keeps every promise gives:
//
//   - No lost update: requests of one session may overlap on any servers. Changes of different keys all survive, and
//     every Add counts.
//   - Logout is final: a request in flight never restores a session that was ended or has expired.
//   - Acknowledged means stored: changes are sent before the first byte of the response, and the client's cancellation
//     doesn't stop them. If sending fails, the client gets an error instead of the handler's response.
//   - Partial success loses nothing: after any failure the visitor has either the old session or the new one, with its
//     contents and the matching cookie. If no response reached the visitor, a login with the old cookie within EndedFor
//     recovers the contents.
//   - Read your writes: the next request sees the change, on any server.
//   - Lazy: a request that doesn't use its session makes no store call. A read makes one call. A change or a login makes
//     one call, which also returns the new state.
//
// Each store declares which of these promises it keeps: see [Promises].
//
// A key has a type. Its methods take the context of a request:
//
//	const visits = session.Counter("visits")
//
//	func visit(w http.ResponseWriter, r *http.Request) {
//		visits.Add(r.Context(), 1)
//		n, err := visits.Get(r.Context()) // one store operation: it sends the addition and reads the new value
//		…
//	}
//
// [Key.Pop] takes a value that is used once, such as a flash message.
//
// [From] returns the whole session, for login and logout. Start reading at [Manager], which a server creates with [New] and
// wraps around its handlers, and at [Store], the interface that every store implements.
package session
