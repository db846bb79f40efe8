package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"stateless-servers/session"
)

// A trial is one run of a Case. Its methods and those of an outcome end it at the first reply that is wrong.
type trial struct {
	session.Store
	ctx context.Context
}

// A failure is the panic that ends a trial.
type failure struct{ error }

// fail ends the trial, in whose goroutine it must be called.
func fail(format string, arguments ...any) { panic(failure{fmt.Errorf(format, arguments...)}) }

// check ends the trial if a call has failed.
func check(call string, err error) {
	if err != nil {
		fail("%s: %w", call, err)
	}
}

// attempt calls f and returns the error with which it failed, or nil.
func attempt(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.error
		default:
			panic(r)
		}
	}()
	f()
	return nil
}

// try returns a Case.Run that calls f.
func try(f func(trial)) func(context.Context, session.Store) error {
	return func(ctx context.Context, store session.Store) error {
		return attempt(func() { f(trial{store, ctx}) })
	}
}

// created creates a session and returns it.
func (t trial) created(values map[string]string) (session.ID, session.Record) {
	id, record := NewID(), NewRecord(values)
	check("create", t.Create(t.ctx, id, record))
	return id, record
}

func (t trial) load(id session.ID, now time.Time) outcome { return outcomeOf(t.Load(t.ctx, id, now)) }

func (t trial) update(id session.ID, u session.Update) outcome {
	return outcomeOf(t.Update(t.ctx, id, u))
}

func (t trial) end(id session.ID, o session.EndOptions) outcome {
	return outcomeOf(t.End(t.ctx, id, o))
}

func (t trial) renew(r session.Renewal) outcome { return outcomeOf(t.Renew(t.ctx, r)) }

// An outcome has the results of a store call. Its methods take the name of the call.
type outcome struct {
	record session.Record
	err    error
}

func outcomeOf(record session.Record, err error) outcome { return outcome{record, err} }

// ok ends the trial if the call has failed, and returns the record.
func (o outcome) ok(call string) session.Record {
	check(call, o.err)
	return o.record
}

// fails ends the trial unless the call has failed with the wanted error, or succeeded if that is nil. It returns the record.
func (o outcome) fails(call string, want error) session.Record {
	if !errors.Is(o.err, want) {
		fail("%s: got %v, want %v", call, o.err, want)
	}
	return o.record
}

// has ends the trial unless the call has returned the wanted values. It returns the record.
func (o outcome) has(call string, want map[string]string) session.Record {
	if got := o.ok(call); !maps.Equal(got.Values, want) {
		fail("%s: got %v, want %v", call, got.Values, want)
	}
	return o.record
}

// isRenewed ends the trial unless the call has returned the session of a renewal with the wanted values.
func (o outcome) isRenewed(call string, r session.Renewal, values map[string]string) {
	got, want := o.has(call, values), r.Record
	if got.User != want.User || got.UserAgent != want.UserAgent {
		fail("%s: got user %q, agent %q, want %q, %q", call, got.User, got.UserAgent, want.User, want.UserAgent)
	}
	o.hasTimes(call, want)
}

// hasTimes ends the trial unless the call has returned the wanted times. They may be up to a second later.
func (o outcome) hasTimes(call string, want session.Record) {
	got := o.ok(call)
	for _, times := range [][2]time.Time{{got.Created, want.Created}, {got.Expires, want.Expires}, {got.IdleExpires, want.IdleExpires}} {
		if late := times[0].Sub(times[1]); late < 0 || late >= time.Second {
			fail("%s: got time %v for %v: allowed is up to a second later", call, times[0], times[1])
		}
	}
}

// isIdle ends the trial unless the call has returned the wanted values, idle timeout and IdleExpires.
func (o outcome) isIdle(call string, values map[string]string, timeout time.Duration, expires time.Time) {
	got := o.has(call, values)
	if late := got.IdleExpires.Sub(expires); got.IdleTimeout != timeout || late < 0 || late >= time.Second {
		fail("%s: got the idle timeout %v and the idle expiry %v, want %v and %v", call, got.IdleTimeout, got.IdleExpires, timeout, expires)
	}
}
