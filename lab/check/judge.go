package check

import "time"

// settle is how long a wrong answer may be wrong before it counts as a loss. Until then a replica may be behind, and what
// was read is stale. Amazon DynamoDB's eventual reads and a Valkey replica are usually right within a second.
const settle = time.Second

// suspect is an answer that was wrong, and nobody knows yet why.
type suspect struct {
	op    *Op
	gone  bool           // it had no session, or a new one
	short [counters]bool // it lacked additions to these
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

// gone reports whether the answer was given without the session: there was none, or a new one had taken its place.
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
