package session

import (
	"context"
	"errors"
	"time"
)

// An Operation describes one finished call of a store.
type Operation struct {
	Store    string // Promises.Name
	Name     OperationName
	Outcome  Outcome
	Duration time.Duration // measured in this process
	Bytes    int           // Record.Size of the session that was sent or returned
}

// An OperationName identifies an operation of a store.
type OperationName string

// The operations of a store.
const (
	OperationCreate OperationName = "create"
	OperationLoad   OperationName = "load"
	OperationUpdate OperationName = "update"
	OperationTouch  OperationName = "touch" // an update without changes, which extends the session
	OperationRenew  OperationName = "renew"
	OperationEnd    OperationName = "end"
	OperationList   OperationName = "list" // one page of a user's sessions
)

// An Outcome classifies the result of an operation.
type Outcome string

// The outcomes of an operation.
const (
	OutcomeOK          Outcome = "ok"
	OutcomeMissing     Outcome = "missing"   // ErrNotFound
	OutcomeEnded       Outcome = "ended"     // ErrEnded
	OutcomeTooLarge    Outcome = "too_large" // ErrTooLarge
	OutcomeCounter     Outcome = "counter"   // ErrCounter
	OutcomeChanged     Outcome = "changed"   // ErrChanged
	OutcomeInvalid     Outcome = "invalid"   // ErrInvalid
	OutcomeCanceled    Outcome = "canceled"
	OutcomeUnavailable Outcome = "unavailable"
)

// An Observer receives every store operation, for metrics. It is called on the request's goroutine, so it must be quick and
// safe for concurrent use. ctx is the context of the request.
type Observer interface {
	// ObserveOperation is called once for each operation, after the operation has finished.
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
	case errors.Is(err, ErrChanged):
		return OutcomeChanged
	case errors.Is(err, ErrInvalid):
		return OutcomeInvalid
	case errors.Is(err, context.Canceled):
		return OutcomeCanceled
	default:
		return OutcomeUnavailable
	}
}
