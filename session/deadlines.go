package session

import (
	"context"
	"sync/atomic"
	"time"
)

// deadlines bound store operations in time. A timer and a channel for each would be a fifth of what an operation costs
// the process; here the operations that start within a sixteenth of the timeout share one deadline.
type deadlines struct {
	timeout time.Duration
	current atomic.Pointer[sharedDeadline]
}

// A sharedDeadline is the deadline of the operations that start before until.
type sharedDeadline struct {
	context.Context
	until time.Time
}

// context returns one that is done when the timeout is over, or up to a sixteenth of it before. It has the values of
// parent, and is detached from its cancellation.
func (d *deadlines) context(parent context.Context, now time.Time) context.Context {
	current := d.current.Load()
	if current == nil || !now.Before(current.until) {
		deadline, cancel := context.WithDeadline(context.Background(), now.Add(d.timeout))
		context.AfterFunc(deadline, cancel) // not sooner: whoever shares it may still need it
		current = &sharedDeadline{deadline, now.Add(d.timeout / 16)}
		d.current.Store(current)
	}
	return &operation{current.Context, parent}
}

// An operation is the context of one call of the store.
type operation struct {
	context.Context // the deadline
	values          context.Context
}

// Value asks the deadline first: it has none but the one by which package context knows its own, and derives from it
// without a goroutine.
func (o *operation) Value(key any) any {
	if value := o.Context.Value(key); value != nil {
		return value
	}
	return o.values.Value(key)
}
