package check

import "time"

// expiryMargin covers that servers tell times to the second.
const expiryMargin = 2 * time.Second

// Stage says which requests may come next in a session.
type Stage int

// The stages of a session, in the order of its life.
const (
	Fresh   Stage = iota // nothing was sent: open it, with MarkProduct or a login
	Opening              // the opening is under way: only reads
	Open                 // anything; a login or a logout only unless Changing
	Doubt                // an answer was wrong: only reads, until it is clear what happened
	Confirm              // the reads stay wrong: Confirmation, which shows what the store has
	Ended                // logged out: only reads with the old cookie, which must find nothing
	Over                 // nothing more; another session begins
)

// Session follows one session of a visitor from its opening to its end, and judges every answer. It is not safe for
// concurrent use.
//
// What must be true of a correct server: at any moment each counter is at least what was acknowledged before the request
// was sent, and at most what was ever sent until its answer came. Requests without an answer, or with a 5xx, count
// as sent: they may have been applied, and may still be.
type Session struct {
	Visitor, Number int
	Name            string // the user of its logins

	log  *Log
	idle time.Duration

	opening, opened, over, expired bool

	mark              int64 // pieces of MarkProduct; 0 when a login opened the session
	logins            int   // acknowledged
	changesSent       int   // logins and logouts
	changesDone       int   // of these, acknowledged
	inFlight          int
	sent, acked, lost counts
	began, expires    time.Duration // of the session that the last login began

	suspects []*suspect
	confirm  int // the counter to write to, +1; 0 for none

	// For explanations.
	openedBy, endedBy *Op
	good              *Op // the last answer that was right
	recent            [counters][]*Op
}

// Op is a request under way.
type Op struct {
	Request
	Answer
	session *Session
	acked   counts // what was acknowledged when it was sent
	opens   bool   // it begins the session
	opened  bool   // the session was open when it was sent
	ended   bool   // it was logged out when it was sent
	alone   bool   // nothing else was under way when it was sent
	logins  int    // acknowledged when it was sent: which cookie it has
	changes int    // logins and logouts that were acknowledged when it was sent, and itself
}

// done reports whether the request was acknowledged.
func (o *Op) done() bool { return o.Status == 200 && o.Error == "" }

// refused reports whether the server said that the session had ended.
func (o *Op) refused() bool { return o.Status == 409 && o.Error == "" }

func (o *Op) isChange() bool { return o.Kind == Login || o.Kind == Logout }

// Stage says which requests may come next.
func (s *Session) Stage() Stage {
	switch {
	case s.over:
		return Over
	case s.endedBy != nil:
		return Ended
	case !s.opening:
		return Fresh
	case !s.opened:
		return Opening
	case s.confirm > 0:
		return Confirm
	case len(s.suspects) > 0:
		return Doubt
	}
	return Open
}

// Changing reports whether a login or a logout is under way.
func (s *Session) Changing() bool { return s.changesSent > s.changesDone }

// InFlight is how many requests are under way.
func (s *Session) InFlight() int { return s.inFlight }

// Confirmation is the request that the stage Confirm asks for.
func (s *Session) Confirmation() Request {
	if s.confirm == visits+1 {
		return Request{Kind: Write}
	}
	return Request{Kind: Cart, Product: counterNames[s.confirm-1], Quantity: 1}
}

// Send notes a request at the moment at which it is sent.
func (s *Session) Send(r Request) *Op {
	s.inFlight++
	o := &Op{
		Request: r, session: s, acked: s.acked, opened: s.opened, ended: s.endedBy != nil, alone: s.inFlight == 1,
		logins: s.logins, changes: s.changesDone,
	}
	if !s.opening && (r.Kind == Cart || r.Kind == Login) {
		s.opening, o.opens = true, true
		if r.Kind == Cart {
			s.mark = r.Quantity
		}
	}
	if o.isChange() {
		s.changesSent++
		o.changes++
	}
	counter, quantity := r.counter()
	s.sent[counter] += quantity
	return o
}

// Receive notes the answer, and reports what is wrong with it. It reports whether the answer is one that a correct server
// may give: a 409 is, when a login or a logout was under way.
func (o *Op) Receive(a Answer) bool {
	s := o.session
	o.Answer = a
	s.inFlight--
	done, refused := o.done(), o.refused()
	overlapped := s.changesSent > o.changes
	switch {
	case s.over:
		return done || refused
	case !done && (!refused || o.opens || o.isChange()):
		if o.opens || o.isChange() {
			s.finish() // whether it happened is unknown, and so is what to expect of the session
		}
		return false
	case done:
		s.acknowledge(o)
	}
	switch {
	case o.ended:
		s.judgeEnded(o)
	case !o.opened && !o.opens:
		if done && o.view.live {
			s.crossed(o, "the visitor had no session, and was shown one")
		}
	case o.Kind != Logout:
		s.judge(o, overlapped)
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
		s.changesDone++
		s.logins++
		s.began = o.Sent
	case Logout:
		s.changesDone++
		s.endedBy = o
	case Write, Cart:
		counter, quantity := o.counter()
		s.acked[counter] += quantity
		s.remember(o)
	}
}

// finish ends the session. What is still in doubt is called by the lesser name.
func (s *Session) finish() {
	s.over = true
	for _, suspect := range s.suspects {
		if suspect.gone {
			s.vanished()
			return
		}
	}
	for _, suspect := range s.suspects {
		s.stale(suspect.op, nil)
	}
}

// Close ends the session with the run.
func (s *Session) Close() {
	if !s.over {
		s.finish()
	}
}
