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

// decideTimeout bounds the search for an order of one session's calls.
const decideTimeout = time.Minute

// forever is the return of a call that was never answered.
const forever = math.MaxInt64

// A violation is why a history is wrong.
type violation struct {
	words   string // of the first session that is
	picture string // a file to open in a browser
}

func (v *violation) Error() string { return v.words + "Open " + v.picture + " in a browser to see it." }

// check looks for an order of each session's calls in which a store that keeps its contract would have given the same
// answers, and in which no call comes before another that had returned when it was called. Where there is none the error
// is a violation.
func check(history []porcupine.Operation) error {
	for i, calls := range bySession(history) {
		result, info := porcupine.CheckOperationsVerbose(model, calls, decideTimeout)
		switch result {
		case porcupine.Ok:
		case porcupine.Illegal:
			file, err := draw(info)
			return errors.Join(&violation{fmt.Sprintf("session %d of the history: %s", i+1, explain(calls, info)), file}, err)
		default:
			return fmt.Errorf("session %d of the history: no order of its %d calls was found or ruled out within %v",
				i+1, len(calls), decideTimeout)
		}
	}
	return nil
}

// bySession splits a history into those of its sessions, in the order of their beginnings. What all sessions lose, each
// loses.
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

// explain says how far an order of the calls gets, and why none goes on from there.
func explain(calls []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []int
	for _, order := range info.PartialLinearizations()[0] {
		if len(order) > len(longest) {
			longest = order
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "no order of its %d calls explains every answer. The longest that explains any has %d of them",
		len(calls), len(longest))
	at := model.Init().(state)
	for i, call := range longest {
		at, _ = at.after(calls[call].Input.(Call))
		if i == len(longest)-1 {
			fmt.Fprintf(&text, ", ends with\n  %s\n", describe(calls[call]))
		}
	}
	fmt.Fprintf(&text, "and leaves the session %v. None of those that may come next does:\n", at)
	first := int64(forever) // whatever comes next was called before any other returned
	for i, call := range calls {
		if !slices.Contains(longest, i) {
			first = min(first, call.Return)
		}
	}
	for i, call := range calls {
		if !slices.Contains(longest, i) && call.Call <= first && call.Output.(Answer).Outcome != unknown {
			_, want := at.after(call.Input.(Call))
			fmt.Fprintf(&text, "  %s\n    where the answer would be %v\n", describe(call), want)
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

// draw makes a page of the calls and of the orders that were tried.
func draw(info porcupine.LinearizationInfo) (file string, err error) {
	page, err := os.CreateTemp("", "linearizability-*.html")
	if err != nil {
		return "", err
	}
	err = porcupine.Visualize(model, info, page)
	return page.Name(), errors.Join(err, page.Close())
}
