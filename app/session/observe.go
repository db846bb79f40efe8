package session

import (
	"context"
	"errors"
	"time"
)

// An Operation is one call of a store, as an Observer sees it.
type Operation struct {
	Store    string        // Promises.Name
	Name     string        // create, load, update, touch, end, list
	Outcome  string        // ok, missing, ended, too_large, counter, canceled, unavailable
	Duration time.Duration // as the server saw it
	Bytes    int           // Record.Size of the state that was sent or returned
}

// An Observer is told of every store operation, for metrics. It is called on the request's goroutine: it must be quick
// and safe for concurrent use.
type Observer interface {
	ObserveOperation(Operation)
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNotFound):
		return "missing"
	case errors.Is(err, ErrEnded):
		return "ended"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	case errors.Is(err, ErrCounter):
		return "counter"
	case errors.Is(err, context.Canceled):
		return "canceled"
	default:
		return "unavailable"
	}
}
