package check

import "time"

// settle is how long a wrong answer may be wrong before it counts as a loss. Until then a replica may be behind, and what
// was read is stale. Amazon DynamoDB's eventual reads and a Valkey replica are usually right within a second.
const settle = time.Second

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

// suspect is an answer that was wrong, and nobody knows yet why.
type suspect struct {
	op    *Op
	gone  bool           // it had no session, or a new one
	short [counters]bool // it lacked additions to these
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

// done tells whether the request was acknowledged.
func (o *Op) done() bool { return o.Status == 200 && o.Error == "" }

// refused tells whether the server said that the session had ended.
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

// Changing tells whether a login or a logout is under way.
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

// Receive notes the answer, and reports what is wrong with it. It tells whether the answer is one that a correct server
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
		s.began, s.expires = o.Sent, o.Sent+s.idle
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

// judgeEnded judges the answer to a request that was sent after the logout was acknowledged.
func (s *Session) judgeEnded(o *Op) {
	switch {
	case o.done() && (o.view.live || o.Kind != Read):
		s.suspects = nil // whatever was wrong at the end, this is why
		s.resurrected(o)
		s.over = true
	case o.alone: // nothing is under way any more that could bring it back
		s.finish()
	}
}

// judge judges an answer that concerns the open session. A request that overlapped a login or a logout may have come
// after it, and then found its session ended.
func (s *Session) judge(o *Op, overlapped bool) {
	if why := s.foreign(o); why != "" {
		s.crossed(o, why)
		return
	}
	doubt := suspect{op: o, gone: s.gone(o)}
	if doubt.gone && overlapped {
		return
	}
	if doubt.gone && o.Received >= s.expires {
		s.over, s.expired = true, true
		return
	}
	wrong := doubt.gone
	if !doubt.gone {
		for counter := range o.view.counts {
			doubt.short[counter] = s.missing(o, counter) > 0
			wrong = wrong || doubt.short[counter]
		}
		s.refute(o, doubt.short)
		if o.view.whole && !overlapped {
			s.expires = max(s.expires, s.began+o.view.lifetime-expiryMargin)
		}
	}
	if !wrong {
		s.good = o
		return
	}
	s.suspects = append(s.suspects, &doubt)
	if o.Sent >= s.suspects[0].op.Received+settle {
		s.conclude(&doubt)
	}
}

// foreign says in what the answer shows another visitor's data, if it does.
func (s *Session) foreign(o *Op) string {
	v := o.view
	if v.user != "" && v.user != s.Name {
		return "it shows the user " + v.user + ", not " + s.Name
	}
	if v.cart && s.mark > 0 && v.counts[mark] != 0 && v.counts[mark] != s.mark {
		return explainMark(v.counts[mark], s.mark)
	}
	for counter, n := range v.counts {
		if counter != mark && n > s.sent[counter] {
			return explainExcess(counter, n, s.sent[counter])
		}
	}
	return ""
}

// gone tells whether the answer was given without the session: there was none, or a new one had taken its place.
func (s *Session) gone(o *Op) bool {
	v := o.view
	return o.refused() || v.whole && !v.live || v.whole && v.user == "" && (o.logins > 0 || o.Kind == Login) ||
		v.cart && s.mark > 0 && v.counts[mark] == 0
}

// missing is how many acknowledged additions to the counter the answer lacks.
func (s *Session) missing(o *Op, counter int) int64 {
	if !o.view.shows(counter) || counter == mark {
		return 0
	}
	least := o.acked[counter] - s.lost[counter]
	if own, quantity := o.counter(); own == counter {
		least += quantity
	}
	return least - o.view.counts[counter]
}

// refute takes earlier suspicions back that the answer disproves: what they missed is there, so they were stale.
func (s *Session) refute(o *Op, short [counters]bool) {
	kept := s.suspects[:0]
	for _, suspect := range s.suspects {
		if suspect.op.Received > o.Sent {
			kept = append(kept, suspect)
			continue
		}
		if o.view.whole || o.view.cart && s.mark > 0 {
			suspect.gone = false
		}
		for counter, isShort := range short {
			if !isShort && o.view.shows(counter) {
				suspect.short[counter] = false
			}
		}
		if suspect.open() {
			kept = append(kept, suspect)
		} else {
			s.stale(suspect.op, o)
		}
	}
	s.suspects = kept
	if s.confirm > 0 && !s.isShort(s.confirm-1) {
		s.confirm = 0
	}
}

func (s *suspect) open() bool { return s.gone || s.short != [counters]bool{} }

func (s *Session) isShort(counter int) bool {
	for _, suspect := range s.suspects {
		if suspect.short[counter] {
			return true
		}
	}
	return false
}

// conclude decides, for the wrong answer came so late that no replica can be behind. Reads that stay wrong are not
// enough for a lost update: something may answer reads with an old state for ever. What a write answers is what the store
// has.
func (s *Session) conclude(last *suspect) {
	if last.gone {
		s.vanished()
		s.over = true
		return
	}
	own, quantity := last.op.counter()
	if quantity == 0 || !last.short[own] {
		for counter, isShort := range last.short {
			if isShort && s.confirm == 0 {
				s.confirm = counter + 1
			}
		}
		return
	}
	lost := s.missing(last.op, own)
	s.lostUpdates(last.op, own, lost)
	s.lost[own] += lost
	s.recent[own] = nil
	kept := s.suspects[:0]
	for _, suspect := range s.suspects {
		suspect.short[own] = false
		if suspect.open() {
			kept = append(kept, suspect)
		}
	}
	s.suspects, s.confirm = kept, 0
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
