package check

import "time"

// maxStaleness is the time after which responses that are still wrong count as a loss. Before that, a replica may lag
// behind, and the read was stale. Amazon DynamoDB's eventual reads and a Valkey replica usually catch up within a second.
const maxStaleness = time.Second

// suspect is a wrong response. Later responses determine whether it was stale or shows a loss.
type suspect struct {
	op     *Op
	gone   bool           // it had no session, or a new one instead
	behind [counters]bool // the counters to which it lacked additions
}

// checkEnded checks the response to a request that was sent after the logout was acknowledged.
func (s *Session) checkEnded(o *Op) {
	switch {
	case o.acknowledged() && (o.view.live || o.Kind != Read):
		s.suspects = nil // this explains them
		s.reportAliveAfterLogout(o)
		s.over = true
	case o.alone: // no request in flight can recreate the session
		s.finish()
	}
}

// checkResponse checks a response that concerns the open session. A request that overlapped a login or a logout may have
// taken effect after it, and then may have found no session.
func (s *Session) checkResponse(o *Op, overlapped bool) {
	if why := s.foreignData(o); why != "" {
		s.reportLeak(o, why)
		return
	}
	found := suspect{op: o, gone: s.gone(o)}
	if found.gone && overlapped {
		return
	}
	if found.gone && o.Received >= s.expires {
		s.over, s.expired = true, true
		return
	}
	wrong := found.gone
	if !found.gone {
		for counter := range o.view.counts {
			found.behind[counter] = s.missing(o, counter) > 0
			wrong = wrong || found.behind[counter]
		}
		s.clearSuspects(o, found.behind)
		if o.view.whole && !overlapped {
			s.expires = max(s.expires, s.began+o.view.lifetime-expiryMargin)
		}
	}
	if !wrong {
		s.lastGood = o
		return
	}
	s.suspects = append(s.suspects, &found)
	if o.Sent >= s.suspects[0].op.Received+maxStaleness {
		s.confirmLoss(&found)
	}
}

// foreignData describes another visitor's data in the response; it returns "" if there is none.
func (s *Session) foreignData(o *Op) string {
	v := o.view
	if v.user != "" && v.user != s.User {
		return "it shows the user " + v.user + ", not " + s.User
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

// gone reports whether the response lacks the session: it shows none, or a new one instead.
func (s *Session) gone(o *Op) bool {
	v := o.view
	return o.refused() || v.whole && !v.live || v.whole && v.user == "" && (o.logins > 0 || o.Kind == Login) ||
		v.cart && s.mark > 0 && v.counts[mark] == 0
}

// missing returns the number of acknowledged additions to the counter that the response lacks.
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

// clearSuspects removes earlier suspects that this response explains: it shows what they lacked, so they were stale.
func (s *Session) clearSuspects(o *Op, behind [counters]bool) {
	kept := s.suspects[:0]
	for _, suspect := range s.suspects {
		if suspect.op.Received > o.Sent {
			kept = append(kept, suspect)
			continue
		}
		if o.view.whole || o.view.cart && s.mark > 0 {
			suspect.gone = false
		}
		for counter, isBehind := range behind {
			if !isBehind && o.view.shows(counter) {
				suspect.behind[counter] = false
			}
		}
		if suspect.open() {
			kept = append(kept, suspect)
		} else {
			s.reportStale(suspect.op, o)
		}
	}
	s.suspects = kept
	if s.confirm > 0 && !s.isBehind(s.confirm-1) {
		s.confirm = 0
	}
}

func (s *suspect) open() bool { return s.gone || s.behind != [counters]bool{} }

func (s *Session) isBehind(counter int) bool {
	for _, suspect := range s.suspects {
		if suspect.behind[counter] {
			return true
		}
	}
	return false
}

// confirmLoss decides about a response that is wrong so late that no replica can lag behind. A missing session is lost. Reads
// don't prove a lost update, because a broken replica may return an old state for ever. The response to a write does: it
// shows the state in the store. Until there is one, the session asks for a Confirmation.
func (s *Session) confirmLoss(last *suspect) {
	if last.gone {
		s.reportLost()
		s.over = true
		return
	}
	own, quantity := last.op.counter()
	if quantity == 0 || !last.behind[own] {
		for counter, isBehind := range last.behind {
			if isBehind && s.confirm == 0 {
				s.confirm = counter + 1
			}
		}
		return
	}
	lost := s.missing(last.op, own)
	s.reportLostUpdates(last.op, own, lost)
	s.lost[own] += lost
	s.recent[own] = nil
	kept := s.suspects[:0]
	for _, suspect := range s.suspects {
		suspect.behind[own] = false
		if suspect.open() {
			kept = append(kept, suspect)
		}
	}
	s.suspects, s.confirm = kept, 0
}
