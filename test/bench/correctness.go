package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Kept is what a library makes of requests that overlap or are abandoned.
type Kept struct {
	Variant string
	title   string
	// Increments and SlowIncrements: how many of 1000 increments of one session survive, over two servers, 16 at a time;
	// the slow ones take 5 ms between reading and writing.
	Increments, SlowIncrements int64
	// Abandoned: how many of 20 writes are kept whose client gives up before the server answers.
	Abandoned int64
	// ByWrite and ByRead: how many of 20 sessions come back after logout by a write, or a read, that was in flight.
	ByWrite, ByRead int
}

// Attempts is how many there were of what Kept counts.
type Attempts struct{ Increments, Trials int }

const (
	increments = 1000
	slowly     = 5 * time.Millisecond
	trials     = 20
	patience   = 2 * time.Minute // with one library
)

// keep tries the variant on pairs of servers that share a store.
func keep(ctx context.Context, v variant, s stores) (Kept, error) {
	k := Kept{Variant: v.Name, title: v.Title}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := errors.Join(
		k.increment(ctx, &k.Increments, v, s, 0), k.increment(ctx, &k.SlowIncrements, v, s, slowly),
		k.abandon(ctx, v, s),
		k.logout(ctx, &k.ByWrite, v, s, http.MethodPost), k.logout(ctx, &k.ByRead, v, s, http.MethodGet))
	if err != nil {
		err = fmt.Errorf("count what %s keeps: %w", v.Name, err)
	}
	return k, err
}

// A pair are two servers, each with a library and a store client of its own, that share a store.
type pair struct {
	urls   [2]string
	client *http.Client
	active sync.WaitGroup // requests under way
	close  []func()
}

// newPair starts servers whose slow routes wait in hold, after they have read the session.
func newPair(v variant, s stores, hold func(*http.Request)) (*pair, error) {
	p := &pair{client: newHTTPClient(2 * trials)}
	for i := range p.urls {
		l, err := v.open(s[v.Store])
		if err != nil {
			p.Close()
			return nil, err
		}
		handler := newHandler(l, hold)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.active.Add(1)
			defer p.active.Done()
			handler.ServeHTTP(w, r)
		}))
		p.urls[i], p.close = server.URL, append(p.close, server.Close, l.Close)
	}
	return p, nil
}

func (p *pair) Close() {
	p.client.CloseIdleConnections()
	for _, end := range p.close {
		end()
	}
}

// visitors starts sessions on the first server, each with one visit.
func (p *pair) visitors(ctx context.Context) ([]*client, error) {
	visitors := make([]*client, trials)
	for i := range visitors {
		var err error
		if visitors[i], err = newClient(ctx, p.client, p.urls[0]); err != nil {
			return nil, err
		}
		if err := visitors[i].send(ctx, p.urls[0], routeWrite); err != nil {
			return nil, err
		}
	}
	return visitors, nil
}

// increment sends increments of one session and sets how many the session has then.
func (k *Kept) increment(ctx context.Context, kept *int64, v variant, s stores, work time.Duration) error {
	p, err := newPair(v, s, func(*http.Request) { time.Sleep(work) })
	if err != nil {
		return err
	}
	defer p.Close()
	visitor, err := newClient(ctx, p.client, p.urls[0])
	if err != nil {
		return err
	}
	var all errgroup.Group
	all.SetLimit(concurrency)
	for i := range increments {
		all.Go(func() error {
			_, err := visitor.requestVisits(ctx, http.MethodPost, p.urls[i%2]+"/slow")
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	*kept, err = visitor.requestVisits(ctx, http.MethodGet, p.urls[0]+"/read")
	return err
}

// abandon sends writes whose clients give up while the servers work, and sets how many of them are kept.
func (k *Kept) abandon(ctx context.Context, v variant, s stores) error {
	held := make(chan struct{}, trials)
	p, err := newPair(v, s, func(r *http.Request) {
		held <- struct{}{}
		<-r.Context().Done() // the client has left
	})
	if err != nil {
		return err
	}
	defer p.Close()
	visitors, err := p.visitors(ctx)
	if err != nil {
		return err
	}
	clients, leave := context.WithCancel(ctx)
	defer leave()
	var all errgroup.Group
	for i, visitor := range visitors {
		all.Go(func() error {
			if _, err := visitor.requestVisits(clients, http.MethodPost, p.urls[i%2]+"/slow"); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("a write was answered before its client gave up (%v)", err)
			}
			return nil
		})
	}
	if err := await(ctx, held); err != nil {
		return err
	}
	leave()
	if err := all.Wait(); err != nil {
		return err
	}
	p.active.Wait()
	for _, visitor := range visitors {
		n, err := visitor.requestVisits(ctx, http.MethodGet, p.urls[0]+"/read")
		if err != nil {
			return err
		}
		k.Abandoned += n - 1
	}
	return nil
}

// logout ends sessions on one server while the other is busy with a slow request of each, and sets how many are back when
// that is done.
func (k *Kept) logout(ctx context.Context, back *int, v variant, s stores, method string) error {
	held, release := make(chan struct{}, trials), make(chan struct{})
	p, err := newPair(v, s, func(*http.Request) {
		held <- struct{}{}
		<-release
	})
	if err != nil {
		return err
	}
	defer p.Close()
	let := sync.OnceFunc(func() { close(release) })
	defer let()
	visitors, err := p.visitors(ctx)
	if err != nil {
		return err
	}
	var all errgroup.Group
	for _, visitor := range visitors {
		all.Go(func() error {
			_, err := visitor.requestVisits(ctx, method, p.urls[0]+"/slow")
			if errors.As(err, new(statusError)) {
				err = nil
			}
			return err
		})
	}
	if err := await(ctx, held); err != nil {
		return err
	}
	for _, visitor := range visitors {
		if _, err := visitor.requestVisits(ctx, http.MethodPost, p.urls[1]+"/logout"); err != nil {
			return err
		}
	}
	let()
	if err := all.Wait(); err != nil {
		return err
	}
	for _, visitor := range visitors {
		n, err := visitor.requestVisits(ctx, http.MethodGet, p.urls[1]+"/read")
		if err != nil {
			return err
		}
		if n > 0 {
			*back++
		}
	}
	return nil
}

// await waits until every trial's request is held.
func await(ctx context.Context, held <-chan struct{}) error {
	for range trials {
		select {
		case <-held:
		case <-ctx.Done():
			return fmt.Errorf("wait for slow requests: %w", ctx.Err())
		}
	}
	return nil
}
