package session

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

type nameKey struct{}

// An operation times out within a sixteenth of StoreTimeout, whether or not its request is cancelled.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := deadlines{timeout: 800 * time.Millisecond}
		parent, hangUp := context.WithCancel(context.WithValue(t.Context(), nameKey{}, "ada"))
		hangUp()
		for range 100 {
			start := time.Now()
			ctx := b.context(parent, start)
			if ctx.Value(nameKey{}) != "ada" {
				t.Fatalf("value %v, want the request's", ctx.Value(nameKey{}))
			}
			if err := ctx.Err(); err != nil {
				t.Fatalf("at its start: %v", err)
			}
			deadline, ok := ctx.Deadline()
			if left := deadline.Sub(start); !ok || left > 800*time.Millisecond || left < 750*time.Millisecond {
				t.Fatalf("%v until the deadline, want 750 to 800 ms", left)
			}
			go func() {
				<-ctx.Done()
				if took := time.Since(start); took > 800*time.Millisecond || took < 750*time.Millisecond {
					t.Errorf("done after %v, want 750 to 800 ms", took)
				}
				if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
					t.Errorf("done by %v", ctx.Err())
				}
			}()
			time.Sleep(7 * time.Millisecond)
		}
		time.Sleep(time.Second)
	})
}

// A context that a store derives from an operation's context ends with it and needs no goroutine.
func TestContextDerivedFromADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := deadlines{timeout: time.Second}
		ctx := b.context(t.Context(), time.Now())
		before := runtime.NumGoroutine()
		var derived []context.Context
		for range 50 {
			child, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			derived = append(derived, child)
		}
		if more := runtime.NumGoroutine() - before; more > 0 {
			t.Errorf("%d goroutines for %d derived contexts", more, len(derived))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, child := range derived {
			if !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Fatalf("derived context: %v", child.Err())
			}
		}
	})
}
