package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// explained is how many acknowledged additions to a counter are kept for explanations.
const explained = 4

// remember keeps an acknowledged addition for explanations.
func (s *Session) remember(o *Op) {
	counter, _ := o.counter()
	recent := s.recent[counter]
	if len(recent) == explained {
		recent = slices.Delete(recent, 0, 1)
	}
	s.recent[counter] = append(recent, o)
}

// vanished reports that the session was found gone, for the first and for the last time.
func (s *Session) vanished() {
	var gone []*Op
	for _, suspect := range s.suspects {
		if suspect.gone {
			gone = append(gone, suspect.op)
		}
	}
	s.suspects = nil
	ops := []*Op{s.good, gone[0]}
	if len(gone) > 1 {
		ops = append(ops, gone[len(gone)-1])
	}
	s.log.report("session lost", gone[0].Received, func(c *Counts) { c.Lost++ }, func() string {
		return s.story("was lost, though nobody had logged out. The last answer that had it, and those that had not", ops...)
	})
}

func (s *Session) lostUpdates(o *Op, counter int, lost int64) {
	s.log.report("update lost", o.Received, func(c *Counts) { c.LostUpdates += lost }, func() string {
		// The addition of the answer itself is not one of those before it.
		before := slices.DeleteFunc(slices.Clone(s.recent[counter]), func(a *Op) bool { return a == o })
		return s.story(fmt.Sprintf("lost %d of the acknowledged additions to %s. The last of them, and an answer that lacks %d",
			lost, counterNames[counter], lost), append(before, o)...)
	})
}

// stale reports an answer that lacked what another before it had acknowledged; right is one that had it again, if any did.
func (s *Session) stale(o, right *Op) {
	s.log.report("stale read", o.Received, func(c *Counts) { c.StaleReads++ }, func() string {
		var ops []*Op
		for _, recent := range s.recent {
			for _, a := range recent {
				if a.Received <= o.Sent {
					ops = append(ops, a)
				}
			}
		}
		slices.SortFunc(ops, func(a, b *Op) int { return cmp.Compare(a.Received, b.Received) })
		ops = append(ops[max(0, len(ops)-explained):], o)
		if right == nil {
			return s.story("was read in an old state. What was acknowledged before, and the answer that lacks some of it", ops...)
		}
		return s.story("was read in an old state. What was acknowledged before, the answer that lacks some of it, "+
			"and one that has it", append(ops, right)...)
	})
}

func (s *Session) crossed(o *Op, why string) {
	s.suspects = nil
	s.over = true
	s.log.report("crossed", o.Received, func(c *Counts) { c.Crossed++ }, func() string {
		return s.story("got mixed up with another: "+why, o)
	})
}

func (s *Session) resurrected(o *Op) {
	s.log.report("session resurrected", o.Received, func(c *Counts) { c.Resurrected++ }, func() string {
		return s.story("was there again after its logout", s.endedBy, o)
	})
}

func explainMark(shown, own int64) string {
	return fmt.Sprintf("its cart has %d of %s, the mark of another visitor, not %d", shown, MarkProduct, own)
}

func explainExcess(counter int, shown, sent int64) string {
	return fmt.Sprintf("it shows %s %d, but this visitor has sent %d only: they are another's, or a request was applied twice",
		counterNames[counter], shown, sent)
}

// story says what happened to the session, and lists the requests that show it, each on a line.
func (s *Session) story(what string, ops ...*Op) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Session %d of visitor %d %s:", s.Number, s.Visitor, what)
	if s.openedBy != nil && !slices.Contains(ops, s.openedBy) {
		ops = append([]*Op{s.openedBy}, ops...)
	}
	ops = slices.DeleteFunc(ops, func(o *Op) bool { return o == nil })
	slices.SortStableFunc(ops, func(a, b *Op) int { return cmp.Compare(a.Received, b.Received) })
	for _, o := range ops {
		b.WriteString("\n  " + o.describe())
	}
	return b.String()
}

// describe says what was sent when, who answered, and what the answer shows.
func (o *Op) describe() string {
	text := fmt.Sprintf("at %s %s", seconds(o.Sent), o.path())
	if o.Status == 0 {
		return text + ": no answer (" + o.Error + ")"
	}
	text += fmt.Sprintf(", answered at %s by %s: ", seconds(o.Received), o.Server)
	if o.Status != 200 || o.Error != "" {
		return text + strings.TrimSpace(fmt.Sprintf("%d %s", o.Status, o.Error))
	}
	return text + o.view.describe()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.4f s", d.Seconds()) }

func (v view) describe() string {
	if v.whole && !v.live {
		return "no session"
	}
	var parts []string
	if v.whole {
		user := v.user
		if user == "" {
			user = "nobody logged in"
		}
		parts = append(parts, user)
	}
	for counter, n := range v.counts {
		if v.shows(counter) && (n != 0 || counter == visits) {
			parts = append(parts, fmt.Sprintf("%s %d", counterNames[counter], n))
		}
	}
	if len(parts) == 0 {
		return "an empty cart"
	}
	return strings.Join(parts, ", ")
}
