// Package session keeps HTTP sessions that are right behind a load balancer: any server may take any request, because
// the session lives in a store that all of them reach.
//
// Changes are recorded as a small list of operations on keys (set, remove, add n) and applied by the store atomically.
// A session is never written back whole. What follows from it, on every shared store:
//
//   - No lost update: requests of one session may overlap on any servers; changes of different keys all survive, and
//     every Add counts.
//   - Logout is final: a request still in flight never brings back a session that was ended or has expired.
//   - Acknowledged means stored: changes are sent before the first byte of the response, detached from the client's
//     cancellation; if that fails, the client gets an error instead of the handler's answer.
//   - Read your writes, on whichever server comes next.
//   - Lazy: a request that doesn't use its session costs no store operation, a read costs one, a change costs one and
//     brings the new state back with it.
//
// Each store declares which of these it keeps: see [Promises].
//
// A handler reaches its session through the request's context:
//
//	const visits = session.Counter("visits")
//
//	func visit(w http.ResponseWriter, r *http.Request) {
//		s := session.From(r.Context())
//		visits.Add(s, 1)
//		n, err := visits.Get(r.Context(), s) // sends the addition and reads the new value: one store operation
//		…
//	}
package session
