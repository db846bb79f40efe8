package check

import "time"

// expiryMargin allows for the rounding of times to seconds in responses.
const expiryMargin = 2 * time.Second

// Stage is a stage in the life of a Session. It determines which requests may be sent next.
type Stage int

// The stages of a session, in the order of its life.
const (
	Fresh      Stage = iota // nothing was sent: open the session with MarkProduct or a login
	Opening                 // the opening request is in flight: only reads
	Open                    // any request, but no login or logout while InTransition
	InDoubt                 // a response was wrong: only reads, until it is known whether it was stale
	Confirming              // the reads stay wrong: Confirmation, a write whose response shows the state in the store
	LoggedOut               // logged out: only reads with the old cookie, which must find no session
	Done                    // no more requests; the visitor begins another session
)

// Session follows one session of a visitor from its opening to its end, and checks every response. It is not safe for
// concurrent use.
//
// On a correct server, a counter in a response is at least the sum of the additions acknowledged before the request was
// sent, and at most the sum of all additions sent before the response came. A request without a response, or with a 5xx,
// counts as sent, because it may have been applied or may still be.
type Session struct {
	Visitor, Number int
	User            string // the user of its logins

	log  *Log
	idle time.Duration

	opening, opened, over, expired bool

	mark              int64 // pieces of MarkProduct; 0 when a login opened the session
	logins            int   // acknowledged logins
	transitionsSent   int   // logins and logouts sent
	transitionsDone   int   // logins and logouts acknowledged
	inFlight          int
	sent, acked, lost counts
	began, expires    time.Duration // of the session since the last login

	suspects []*suspect
	confirm  int // 1 + the counter that Confirmation adds to; 0 for none

	// For explanations.
	openedBy, endedBy *Op
	lastGood          *Op // the last request whose response was correct
	recent            [counters][]*Op
}

// Op is a request in flight, or with its response.
type Op struct {
	Request
	Response
	session     *Session
	acked       counts // the additions acknowledged when it was sent
	opens       bool   // it opens the session
	opened      bool   // the session was open when it was sent
	ended       bool   // it was logged out when it was sent
	alone       bool   // nothing else was in flight when it was sent
	logins      int    // logins acknowledged when it was sent, which determine its cookie
	transitions int    // logins and logouts acknowledged when it was sent, and 1 if it is one itself
}

// acknowledged reports whether the request was acknowledged.
func (o *Op) acknowledged() bool { return o.Status == 200 && o.Error == "" }

// refused reports whether the server said that the session had ended.
func (o *Op) refused() bool { return o.Status == 409 && o.Error == "" }

func (o *Op) isTransition() bool { return o.Kind == Login || o.Kind == Logout }

// Stage returns the present stage, which determines the requests that may be sent next.
func (s *Session) Stage() Stage {
	switch {
	case s.over:
		return Done
	case s.endedBy != nil:
		return LoggedOut
	case !s.opening:
		return Fresh
	case !s.opened:
		return Opening
	case s.confirm > 0:
		return Confirming
	case len(s.suspects) > 0:
		return InDoubt
	}
	return Open
}

// InTransition reports whether a login or a logout is in flight.
func (s *Session) InTransition() bool { return s.transitionsSent > s.transitionsDone }

// InFlight returns the number of requests in flight.
func (s *Session) InFlight() int { return s.inFlight }

// Confirmation returns the request to send in the stage Confirming.
func (s *Session) Confirmation() Request {
	if s.confirm == visits+1 {
		return Request{Kind: Write}
	}
	return Request{Kind: Cart, Product: counterNames[s.confirm-1], Quantity: 1}
}

// Send records a request at the moment at which it is sent.
func (s *Session) Send(r Request) *Op {
	s.inFlight++
	o := &Op{
		Request: r, session: s, acked: s.acked, opened: s.opened, ended: s.endedBy != nil, alone: s.inFlight == 1,
		logins: s.logins, transitions: s.transitionsDone,
	}
	if !s.opening && (r.Kind == Cart || r.Kind == Login) {
		s.opening, o.opens = true, true
		if r.Kind == Cart {
			s.mark = r.Quantity
		}
	}
	if o.isTransition() {
		s.transitionsSent++
		o.transitions++
	}
	counter, quantity := r.counter()
	s.sent[counter] += quantity
	return o
}

// Receive records and checks the response, and adds violations to the Log. It reports whether the status is one that a
// correct server may send: 200, or a 409 when a login or a logout overlapped the request.
func (o *Op) Receive(r Response) bool {
	s := o.session
	o.Response = r
	s.inFlight--
	done, refused := o.acknowledged(), o.refused()
	overlapped := s.transitionsSent > o.transitions
	switch {
	case s.over:
		return done || refused
	case !done && (!refused || o.opens || o.isTransition()):
		if o.opens || o.isTransition() {
			s.finish() // its effect is unknown, so no later response can be checked
		}
		return false
	case done:
		s.acknowledge(o)
	}
	switch {
	case o.ended:
		s.checkEnded(o)
	case !o.opened && !o.opens:
		if done && o.view.live {
			s.reportLeak(o, "the visitor had no session, and was shown one")
		}
	case o.Kind != Logout:
		s.checkResponse(o, overlapped)
	}
	return done || overlapped || o.ended
}

func (s *Session) acknowledge(o *Op) {
	if o.opens {
		s.opened, s.openedBy = true, o
		s.began, s.expires = o.Sent, o.Sent+s.idle-expiryMargin
		s.log.opened()
	}
	switch o.Kind {
	case Login:
		s.transitionsDone++
		s.logins++
		s.began = o.Sent
	case Logout:
		s.transitionsDone++
		s.endedBy = o
	case Write, Cart:
		counter, quantity := o.counter()
		s.acked[counter] += quantity
		s.remember(o)
	}
}

// finish ends the session. Suspects that are still open count as a lost session if one of them lacked it, and otherwise as
// stale reads.
func (s *Session) finish() {
	s.over = true
	for _, suspect := range s.suspects {
		if suspect.gone {
			s.reportLost()
			return
		}
	}
	for _, suspect := range s.suspects {
		s.reportStale(suspect.op, nil)
	}
}

// Close ends the session at the end of the run.
func (s *Session) Close() {
	if !s.over {
		s.finish()
	}
}
