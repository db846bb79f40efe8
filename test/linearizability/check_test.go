package linearizability

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"stateless-servers/session"
)

// checkTimeout bounds the search for a sequential order of one session's calls.
const checkTimeout = time.Minute

// forever is the return time of a call without a reply.
const forever = math.MaxInt64

// A violation describes why a history is not linearizable.
type violation struct {
	text          string // describes the violation in the first session that has one
	visualization string // a file to open in a browser
}

func (v *violation) Error() string {
	return v.text + "Open " + v.visualization + " in a browser to see the calls."
}

// check searches, for each session, a sequential order of its calls in which a correct store would have given the same
// replies, and in which no call precedes one that had returned before it was made. If there is none, the error
// is a violation.
func check(history []porcupine.Operation) error {
	for i, calls := range bySession(history) {
		result, info := porcupine.CheckOperationsVerbose(model, calls, checkTimeout)
		switch result {
		case porcupine.Ok:
		case porcupine.Illegal:
			file, err := draw(info)
			return errors.Join(&violation{fmt.Sprintf("session %d of the history: %s", i+1, explain(calls, info)), file}, err)
		default:
			return fmt.Errorf("session %d of the history: no order of its %d calls was found or ruled out within %v",
				i+1, len(calls), checkTimeout)
		}
	}
	return nil
}

// bySession splits a history into the histories of its sessions, in the order of their first calls. A loss of all sessions
// is part of each history.
func bySession(history []porcupine.Operation) [][]porcupine.Operation {
	var order []session.ID
	calls := map[session.ID][]porcupine.Operation{}
	var losses []porcupine.Operation
	for _, call := range history {
		id := call.Input.(Call).ID
		switch {
		case call.Input.(Call).Kind == lose:
			losses = append(losses, call)
			continue
		case calls[id] == nil:
			order = append(order, id)
		}
		calls[id] = append(calls[id], call)
	}
	sessions := make([][]porcupine.Operation, len(order))
	for i, id := range order {
		sessions[i] = append(calls[id], losses...)
	}
	return sessions
}

// explain describes the longest valid order of calls, and why none of the remaining calls can follow.
func explain(calls []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []int
	for _, order := range info.PartialLinearizations()[0] {
		if len(order) > len(longest) {
			longest = order
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "no order of its %d calls explains every reply. The longest valid order has %d of them",
		len(calls), len(longest))
	at := model.Init().(sessionState)
	for i, call := range longest {
		at, _ = at.apply(calls[call].Input.(Call))
		if i == len(longest)-1 {
			fmt.Fprintf(&text, ", ends with\n  %s\n", describe(calls[call]))
		}
	}
	fmt.Fprintf(&text, "and leaves the session %v. None of the possible next calls fits:\n", at)
	first := int64(forever) // the next call must have been made before any other returned
	for i, call := range calls {
		if !slices.Contains(longest, i) {
			first = min(first, call.Return)
		}
	}
	for i, call := range calls {
		if !slices.Contains(longest, i) && call.Call <= first && call.Output.(Reply).Outcome != unknown {
			_, want := at.apply(call.Input.(Call))
			fmt.Fprintf(&text, "  %s\n    where the reply would be %v\n", describe(call), want)
		}
	}
	return text.String()
}

func describe(call porcupine.Operation) string {
	until := "never"
	if call.Return != forever {
		until = time.Duration(call.Return).String()
	}
	return fmt.Sprintf("client %d, from %v to %s: %s",
		call.ClientId, time.Duration(call.Call), until, model.DescribeOperation(call.Input, call.Output))
}

// draw writes an HTML page with the calls and the orders that were tried.
func draw(info porcupine.LinearizationInfo) (file string, err error) {
	page, err := os.CreateTemp("", "linearizability-*.html")
	if err != nil {
		return "", err
	}
	err = porcupine.Visualize(model, info, page)
	return page.Name(), errors.Join(err, page.Close())
}
