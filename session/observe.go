package session

import (
	"context"
	"errors"
	"time"
)

// An Operation is one call of a store, as an Observer sees it.
type Operation struct {
	Store    string // Promises.Name
	Name     OperationName
	Outcome  Outcome
	Duration time.Duration // as the server saw it
	Bytes    int           // Record.Size of the state that was sent or returned
}

// An OperationName names an operation of a store.
type OperationName string

// The operations of a store.
const (
	OperationCreate OperationName = "create"
	OperationLoad   OperationName = "load"
	OperationUpdate OperationName = "update"
	OperationTouch  OperationName = "touch" // an update that only extends the session
	OperationRenew  OperationName = "renew"
	OperationEnd    OperationName = "end"
	OperationList   OperationName = "list" // a page of a user's sessions
)

// An Outcome says how an operation ended.
type Outcome string

// The outcomes of an operation.
const (
	OutcomeOK          Outcome = "ok"
	OutcomeMissing     Outcome = "missing"   // ErrNotFound
	OutcomeEnded       Outcome = "ended"     // ErrEnded
	OutcomeTooLarge    Outcome = "too_large" // ErrTooLarge
	OutcomeCounter     Outcome = "counter"   // ErrCounter
	OutcomeInvalid     Outcome = "invalid"   // ErrInvalid
	OutcomeCanceled    Outcome = "canceled"
	OutcomeUnavailable Outcome = "unavailable"
)

// An Observer is told of every store operation, for metrics. It is called on the request's goroutine: it must be quick
// and safe for concurrent use. The context is the request's.
type Observer interface {
	ObserveOperation(ctx context.Context, operation Operation)
}

func outcome(err error) Outcome {
	switch {
	case err == nil:
		return OutcomeOK
	case errors.Is(err, ErrNotFound):
		return OutcomeMissing
	case errors.Is(err, ErrEnded):
		return OutcomeEnded
	case errors.Is(err, ErrTooLarge):
		return OutcomeTooLarge
	case errors.Is(err, ErrCounter):
		return OutcomeCounter
	case errors.Is(err, ErrInvalid):
		return OutcomeInvalid
	case errors.Is(err, context.Canceled):
		return OutcomeCanceled
	default:
		return OutcomeUnavailable
	}
}
