package linearizability

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"

	"stateless-servers/session"
)

// What the check must allow and what it must find, in histories of one session by hand.
func TestCheck(t *testing.T) {
	add := func(n int64) Call {
		return Call{Kind: update, Changes: []session.Change{{Op: session.OpAdd, Key: "n", N: n}}}
	}
	n := func(value string) Answer { return Answer{Outcome: ok, Values: map[string]string{"n": value}} }
	empty, done, lost := Answer{Outcome: ok}, Answer{Outcome: ok}, Answer{Outcome: unknown}
	none := Answer{Outcome: notFound}
	tests := []struct {
		name    string
		history []porcupine.Operation
		found   string // "" when the history is right
	}{
		{"one after the other", history(
			at(0, 1, Call{Kind: load}, none), at(2, 3, Call{Kind: create}, done), at(4, 5, add(2), n("2")),
			at(6, 7, Call{Kind: load}, n("2")), at(8, 9, Call{Kind: end}, n("2")), at(10, 11, add(1), Answer{Outcome: ended}),
		), ""},
		{"overlapping calls in either order", history(
			at(0, 1, Call{Kind: create}, done), at(2, 9, add(1), n("3")), at(3, 8, add(2), n("2")), at(4, 6, Call{Kind: load}, empty),
		), ""},
		{"a load before the create returns", history(
			at(0, 9, Call{Kind: create}, done), at(2, 3, Call{Kind: load}, empty), at(4, 5, Call{Kind: load}, empty),
		), ""},
		{"a load that takes back what another saw", history(
			at(0, 9, Call{Kind: create}, done), at(2, 3, Call{Kind: load}, empty), at(4, 5, Call{Kind: load}, none),
		), "load → not found"},
		{"a lost update", history(
			at(0, 1, Call{Kind: create}, done), at(2, 5, add(1), n("1")), at(3, 6, add(2), n("2")),
		), "where the answer would be ok {n=3}"},
		{"a stale read", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, add(1), n("1")), at(4, 5, Call{Kind: load}, empty),
		), "client 2, from 4ns to 5ns: load → ok"},
		{"an update after the end", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: end}, empty), at(4, 5, add(1), n("1")),
		), "leaves the session ended"},
		{"two ends", history(
			at(0, 1, Call{Kind: create}, done), at(2, 5, Call{Kind: end}, empty), at(3, 6, Call{Kind: end}, empty),
		), "where the answer would be ended"},
		{"an end without the last state", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, add(1), n("1")), at(4, 5, Call{Kind: end}, empty),
		), "end → ok"},
		{"no memory of the end", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: end}, empty), at(4, 5, Call{Kind: load}, none),
		), "where the answer would be ended"},
		{"an idle expiry that another update had set", history(
			at(0, 1, Call{Kind: create, Idle: 7}, done), at(2, 3, Call{Kind: update, Idle: 8}, Answer{Outcome: ok, Idle: 8}),
			at(4, 5, Call{Kind: load}, Answer{Outcome: ok, Idle: 7}),
		), "load → ok {idle@7}"},
		{"no answer, and it never happened", history(
			at(0, 1, Call{Kind: create}, done), at(2, forever, add(1), lost), at(4, 5, Call{Kind: load}, empty),
		), ""},
		{"no answer, and it happened late", history(
			at(0, 1, Call{Kind: create}, done), at(2, forever, add(1), lost), at(4, 5, Call{Kind: load}, empty), at(6, 7, add(1), n("2")),
		), ""},
		{"no answer, and it happened twice", history(
			at(0, 1, Call{Kind: create}, done), at(2, forever, add(1), lost), at(4, 5, Call{Kind: load}, n("2")),
		), "load → ok {n=2}"},
		{"no answer, and it happened too early", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: load}, n("1")), at(4, forever, add(1), lost),
		), "load → ok {n=1}"},
		{"no answer, and it came after the end", history(
			at(0, 1, Call{Kind: create}, done), at(2, forever, add(1), lost), at(4, 5, Call{Kind: end}, empty),
			at(6, 7, Call{Kind: load}, n("1")),
		), "load → ok {n=1}"},
		{"everything lost with the store", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: end}, empty), at(4, 8, Call{Kind: lose}, done),
			at(5, 6, Call{Kind: load}, Answer{Outcome: ended}), at(9, 10, add(1), none),
		), ""},
		{"back after everything was lost", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: lose}, done), at(4, 5, add(1), n("1")),
		), "leaves the session absent"},
		{"nothing was lost", history(
			at(0, 1, Call{Kind: create}, done), at(4, 5, Call{Kind: load}, none),
		), "load → not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := check(test.history)
			if err == nil {
				if test.found != "" {
					t.Error("nothing was found")
				}
				return
			}
			words := drawn(t, err)
			if test.found == "" || !strings.Contains(words, test.found) {
				t.Errorf("want %q, got %s", test.found, words)
			}
		})
	}
}

// Sessions are told apart, and the first that is wrong is named.
func TestCheckSessions(t *testing.T) {
	other := at(2, 3, Call{Kind: load, ID: session.ID{1}}, Answer{Outcome: ok})
	err := check(history(at(0, 1, Call{Kind: create}, Answer{Outcome: ok}), other, at(4, 5, Call{Kind: lose}, Answer{Outcome: ok})))
	if words := drawn(t, err); !strings.Contains(words, "session 2 of the history") {
		t.Errorf("got %s", words)
	}
}

// drawn wants a violation with a picture, which it removes, and returns its words.
func drawn(t *testing.T, err error) string {
	t.Helper()
	var found *violation
	if !errors.As(err, &found) {
		t.Fatalf("got %v, want a violation", err)
	}
	if page, err := os.ReadFile(found.picture); err != nil || !strings.Contains(string(page), "create") {
		t.Errorf("the picture: %v", err)
	}
	os.Remove(found.picture)
	return found.words
}

func at(call, returned int64, c Call, a Answer) porcupine.Operation {
	return porcupine.Operation{Input: c, Call: call, Output: a, Return: returned}
}

// history gives each call a client of its own.
func history(calls ...porcupine.Operation) []porcupine.Operation {
	for i := range calls {
		calls[i].ClientId = i
	}
	return calls
}
