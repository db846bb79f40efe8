package session

import (
	"context"
	"sync/atomic"
	"time"
)

// deadlines limits the time of store operations. Operations that start within a sixteenth of the timeout share one deadline:
// a timer and a channel for each operation would take a fifth of its CPU time in this process.
type deadlines struct {
	timeout time.Duration
	current atomic.Pointer[sharedDeadline]
}

// A sharedDeadline is the deadline of all operations that start before until.
type sharedDeadline struct {
	context.Context
	until time.Time
}

// context returns a context that expires after the timeout, or up to a sixteenth of it earlier. It has the values of parent
// but is not cancelled with it.
func (d *deadlines) context(parent context.Context, now time.Time) context.Context {
	current := d.current.Load()
	if current == nil || !now.Before(current.until) {
		deadline, cancel := context.WithDeadline(context.Background(), now.Add(d.timeout))
		context.AfterFunc(deadline, cancel) // not earlier: other operations share the deadline
		current = &sharedDeadline{deadline, now.Add(d.timeout / 16)}
		d.current.Store(current)
	}
	return &operationContext{current.Context, parent}
}

// An operationContext is the context of one store operation. It has the deadline of one context and the values of another.
type operationContext struct {
	context.Context // the deadline
	values          context.Context
}

// Value asks the deadline first. The deadline's only value is the one by which package context recognizes its own contexts;
// a context derived from it then needs no goroutine.
func (o *operationContext) Value(key any) any {
	if value := o.Context.Value(key); value != nil {
		return value
	}
	return o.values.Value(key)
}
