package linearizability

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"

	"stateless-servers/session"
)

// Hand-written histories of one session that the check must accept, and others in which it must find a violation.
func TestCheck(t *testing.T) {
	add := func(n int64) Call {
		return Call{Kind: update, Changes: []session.Change{{Op: session.OpAdd, Key: "n", N: n}}}
	}
	n := func(value string) Reply { return Reply{Outcome: ok, Values: map[string]string{"n": value}} }
	empty, done, lost := Reply{Outcome: ok}, Reply{Outcome: ok}, Reply{Outcome: unknown}
	none := Reply{Outcome: notFound}
	tests := []struct {
		name    string
		history []porcupine.Operation
		found   string // part of the violation, or "" for a correct history
	}{
		{"one after the other", history(
			at(0, 1, Call{Kind: load}, none), at(2, 3, Call{Kind: create}, done), at(4, 5, add(2), n("2")),
			at(6, 7, Call{Kind: load}, n("2")), at(8, 9, Call{Kind: end}, n("2")), at(10, 11, add(1), Reply{Outcome: ended}),
		), ""},
		{"overlapping calls in either order", history(
			at(0, 1, Call{Kind: create}, done), at(2, 9, add(1), n("3")), at(3, 8, add(2), n("2")), at(4, 6, Call{Kind: load}, empty),
		), ""},
		{"a load before the create returns", history(
			at(0, 9, Call{Kind: create}, done), at(2, 3, Call{Kind: load}, empty), at(4, 5, Call{Kind: load}, empty),
		), ""},
		{"a load that does not see what an earlier one saw", history(
			at(0, 9, Call{Kind: create}, done), at(2, 3, Call{Kind: load}, empty), at(4, 5, Call{Kind: load}, none),
		), "load → not found"},
		{"a lost update", history(
			at(0, 1, Call{Kind: create}, done), at(2, 5, add(1), n("1")), at(3, 6, add(2), n("2")),
		), "where the reply would be ok {n=3}"},
		{"a stale read", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, add(1), n("1")), at(4, 5, Call{Kind: load}, empty),
		), "client 2, from 4ns to 5ns: load → ok"},
		{"an update after the end", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: end}, empty), at(4, 5, add(1), n("1")),
		), "leaves the session ended"},
		{"two ends", history(
			at(0, 1, Call{Kind: create}, done), at(2, 5, Call{Kind: end}, empty), at(3, 6, Call{Kind: end}, empty),
		), "where the reply would be ended"},
		{"an end without the last state", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, add(1), n("1")), at(4, 5, Call{Kind: end}, empty),
		), "end → ok"},
		{"no memory of the end", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: end}, empty), at(4, 5, Call{Kind: load}, none),
		), "where the reply would be ended"},
		{"an idle expiry that another update had set", history(
			at(0, 1, Call{Kind: create, Idle: 7}, done), at(2, 3, Call{Kind: update, Idle: 8}, Reply{Outcome: ok, Idle: 8}),
			at(4, 5, Call{Kind: load}, Reply{Outcome: ok, Idle: 7}),
		), "load → ok {idle@7}"},
		{"no reply, and it never happened", history(
			at(0, 1, Call{Kind: create}, done), at(2, forever, add(1), lost), at(4, 5, Call{Kind: load}, empty),
		), ""},
		{"no reply, and it happened late", history(
			at(0, 1, Call{Kind: create}, done), at(2, forever, add(1), lost), at(4, 5, Call{Kind: load}, empty), at(6, 7, add(1), n("2")),
		), ""},
		{"no reply, and it happened twice", history(
			at(0, 1, Call{Kind: create}, done), at(2, forever, add(1), lost), at(4, 5, Call{Kind: load}, n("2")),
		), "load → ok {n=2}"},
		{"no reply, and it happened too early", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: load}, n("1")), at(4, forever, add(1), lost),
		), "load → ok {n=1}"},
		{"no reply, and it happened after the end", history(
			at(0, 1, Call{Kind: create}, done), at(2, forever, add(1), lost), at(4, 5, Call{Kind: end}, empty),
			at(6, 7, Call{Kind: load}, n("1")),
		), "load → ok {n=1}"},
		{"everything lost with the store", history(
			at(0, 1, Call{Kind: create}, done), at(2, 3, Call{Kind: end}, empty), at(4, 8, Call{Kind: lose}, done),
			at(5, 6, Call{Kind: load}, Reply{Outcome: ended}), at(9, 10, add(1), none),
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
					t.Error("the check found no violation, want one")
				}
				return
			}
			words := violationText(t, err)
			if test.found == "" || !strings.Contains(words, test.found) {
				t.Errorf("want %q, got %s", test.found, words)
			}
		})
	}
}

// Sessions are checked separately, and the error names the first with a violation.
func TestCheckSessions(t *testing.T) {
	other := at(2, 3, Call{Kind: load, ID: session.ID{1}}, Reply{Outcome: ok})
	err := check(history(at(0, 1, Call{Kind: create}, Reply{Outcome: ok}), other, at(4, 5, Call{Kind: lose}, Reply{Outcome: ok})))
	if words := violationText(t, err); !strings.Contains(words, "session 2 of the history") {
		t.Errorf("got %s", words)
	}
}

// violationText checks that err is a violation with a visualization, removes the visualization, and returns the text.
func violationText(t *testing.T, err error) string {
	t.Helper()
	var found *violation
	if !errors.As(err, &found) {
		t.Fatalf("got %v, want a violation", err)
	}
	if page, err := os.ReadFile(found.visualization); err != nil || !strings.Contains(string(page), "create") {
		t.Errorf("the visualization: %v", err)
	}
	os.Remove(found.visualization)
	return found.text
}

func at(call, returned int64, c Call, a Reply) porcupine.Operation {
	return porcupine.Operation{Input: c, Call: call, Output: a, Return: returned}
}

// history gives each call its own client.
func history(calls ...porcupine.Operation) []porcupine.Operation {
	for i := range calls {
		calls[i].ClientId = i
	}
	return calls
}
