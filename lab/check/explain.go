package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxExplained is the number of acknowledged additions to a counter that are kept for explanations.
const maxExplained = 4

// remember keeps an acknowledged addition for explanations.
func (s *Session) remember(o *Op) {
	counter, _ := o.counter()
	recent := s.recent[counter]
	if len(recent) == maxExplained {
		recent = slices.Delete(recent, 0, 1)
	}
	s.recent[counter] = append(recent, o)
}

// reportLost reports that the session is gone, with the first and the last response that lacked it.
func (s *Session) reportLost() {
	var gone []*Op
	for _, suspect := range s.suspects {
		if suspect.gone {
			gone = append(gone, suspect.op)
		}
	}
	s.suspects = nil
	ops := []*Op{s.lastGood, gone[0]}
	if len(gone) > 1 {
		ops = append(ops, gone[len(gone)-1])
	}
	s.log.report("session lost", gone[0].Received, func(c *Counts) { c.Lost++ }, func() string {
		return s.explain("was lost without a logout. The last response that had it, and the responses that lacked it", ops...)
	})
}

func (s *Session) reportLostUpdates(o *Op, counter int, lost int64) {
	s.log.report("update lost", o.Received, func(c *Counts) { c.LostUpdates += lost }, func() string {
		// The request itself is not an earlier addition.
		before := slices.DeleteFunc(slices.Clone(s.recent[counter]), func(a *Op) bool { return a == o })
		return s.explain(fmt.Sprintf("lost %d of the acknowledged additions to %s. The last additions, and a response that lacks %d",
			lost, counterNames[counter], lost), append(before, o)...)
	})
}

// reportStale reports a response that lacked an addition acknowledged before the request was sent. The operation correct is
// a later one whose response has the addition; nil if there was none.
func (s *Session) reportStale(o, correct *Op) {
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
		ops = append(ops[max(0, len(ops)-maxExplained):], o)
		if correct == nil {
			return s.explain("was read in an old state. The additions acknowledged before, and the response that lacks some", ops...)
		}
		return s.explain("was read in an old state. The additions acknowledged before, the response that lacks some, "+
			"and one that has them", append(ops, correct)...)
	})
}

func (s *Session) reportLeak(o *Op, why string) {
	s.suspects = nil
	s.over = true
	s.log.report("cross-session leak", o.Received, func(c *Counts) { c.CrossSessionLeaks++ }, func() string {
		return s.explain("got another session's data: "+why, o)
	})
}

func (s *Session) reportAliveAfterLogout(o *Op) {
	s.log.report("session alive after logout", o.Received, func(c *Counts) { c.AliveAfterLogout++ }, func() string {
		return s.explain("was alive after its logout", s.endedBy, o)
	})
}

func explainMark(shown, own int64) string {
	return fmt.Sprintf("its cart has %d of %s, which is another visitor's number, not %d", shown, MarkProduct, own)
}

func explainExcess(counter int, shown, sent int64) string {
	return fmt.Sprintf("it shows %s %d, but this visitor has added only %d: another visitor's data, or a request applied twice",
		counterNames[counter], shown, sent)
}

// explain describes a violation of the session, and lists the requests that show it, one per line.
func (s *Session) explain(what string, ops ...*Op) string {
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

// describe returns the request, its times, the server, and the content of the response.
func (o *Op) describe() string {
	text := fmt.Sprintf("at %s %s", seconds(o.Sent), o.path())
	if o.Status == 0 {
		return text + ": no response (" + o.Error + ")"
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
