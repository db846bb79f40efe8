package sessiontest

import (
	"context"
	"errors"
	"sync"
	"time"

	"stateless-servers/session"
)

// A Fault is a way in which a call of a store fails.
type Fault string

// The faults that RunFaults injects.
const (
	Refuse      Fault = "refuse"       // the call is not executed
	DropReply   Fault = "drop reply"   // the call is executed, and its reply is lost
	DropReplies Fault = "drop replies" // the replies of this call and of every later one are lost
	Die         Fault = "die"          // the web server dies when the call has been executed: it makes no other call and sends no response
)

// noReplies reports whether the server gets no reply to the failed call and to those after it.
func (f Fault) noReplies() bool { return f == DropReplies || f == Die }

// An injector makes one of a server's calls of its store fail.
type injector struct {
	mu     sync.Mutex
	armed  bool
	fault  Fault
	left   int // number of calls before the one that fails
	failed bool
}

// arm makes the n-th call from now fail, counted from 0.
func (i *injector) arm(fault Fault, n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.armed, i.fault, i.left, i.failed = true, fault, n, false
}

// reached reports whether the call that should fail was made.
func (i *injector) reached() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// next is called when a call begins. It returns whether the call is executed, and whether its reply arrives.
func (i *injector) next() (done, replied bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case !i.armed:
		return true, true
	case i.failed:
		switch i.fault {
		case DropReplies:
			return true, false
		case Die:
			return false, false
		default:
			return true, true
		}
	case i.left > 0:
		i.left--
		return true, true
	}
	i.failed = true
	return i.fault != Refuse, false
}

var errInjected = errors.New("injected fault")

// A faulty is a store whose calls fail as its injector decides.
type faulty struct {
	session.Store
	injector *injector
}

// A faultyUsers is a faulty for a session.UserStore.
type faultyUsers struct{ faulty }

func newFaulty(store session.Store, i *injector) session.Store {
	f := faulty{store, i}
	if _, ok := store.(session.UserStore); ok {
		return faultyUsers{f}
	}
	return f
}

func inject[T any](i *injector, call func() (T, error)) (T, error) {
	var zero T
	done, replied := i.next()
	if !done {
		return zero, errInjected
	}
	value, err := call()
	if !replied {
		return zero, errInjected
	}
	return value, err
}

func (f faulty) Create(ctx context.Context, id session.ID, record session.Record) error {
	_, err := inject(f.injector, func() (struct{}, error) { return struct{}{}, f.Store.Create(ctx, id, record) })
	return err
}

func (f faulty) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return inject(f.injector, func() (session.Record, error) { return f.Store.Load(ctx, id, now) })
}

func (f faulty) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	return inject(f.injector, func() (session.Record, error) { return f.Store.Update(ctx, id, u) })
}

func (f faulty) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	return inject(f.injector, func() (session.Record, error) { return f.Store.Renew(ctx, r) })
}

func (f faulty) End(ctx context.Context, id session.ID, e session.EndOptions) (session.Record, error) {
	return inject(f.injector, func() (session.Record, error) { return f.Store.End(ctx, id, e) })
}

func (f faultyUsers) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	return inject(f.injector, func() (session.Page, error) {
		return f.Store.(session.UserStore).UserSessions(ctx, user, query)
	})
}
