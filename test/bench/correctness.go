package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Kept is what a library makes of requests that overlap or are abandoned.
type Kept struct {
	Variant string
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

func attempted() Attempts { return Attempts{increments, trials} }

const (
	increments = 1000
	atOnce     = 16
	slowly     = 5 * time.Millisecond
	trials     = 20
	patience   = time.Minute           // with servers that don't do what is waited for
	pause      = 10 * time.Millisecond // between two looks at them
)

// keep tries the variant on two server processes.
func keep(ctx context.Context, v variant, store string) (Kept, error) {
	k := Kept{Variant: v.Name}
	p := pair{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * trials}}}
	defer p.client.CloseIdleConnections()
	for i := range p.servers {
		s, err := startServer(v, store, -1, "")
		if err != nil {
			return k, err
		}
		defer s.Kill()
		p.servers[i] = s
	}
	var err error
	if k.Increments, err = p.increment(ctx, 0); err != nil {
		return k, err
	}
	if k.SlowIncrements, err = p.increment(ctx, slowly); err != nil {
		return k, err
	}
	if k.Abandoned, err = p.abandon(ctx); err != nil {
		return k, err
	}
	if k.ByWrite, err = p.logout(ctx, http.MethodPost); err != nil {
		return k, err
	}
	if k.ByRead, err = p.logout(ctx, http.MethodGet); err != nil {
		return k, err
	}
	for _, s := range p.servers {
		if err := s.stop(); err != nil {
			return k, err
		}
	}
	return k, nil
}

// pair are two servers that share a store.
type pair struct {
	servers [2]*server
	client  *http.Client
}

// increment sends the increments and returns how many the session has then.
func (p *pair) increment(ctx context.Context, wait time.Duration) (int64, error) {
	cookie, err := startSession(ctx, p.servers[0].addr)
	if err != nil {
		return 0, err
	}
	err = parallel(increments, atOnce, func(i int) error {
		_, err := p.do(ctx, i%2, http.MethodPost, slowPath(wait), cookie)
		return err
	})
	if err != nil {
		return 0, err
	}
	return p.do(ctx, 0, http.MethodGet, "/read", cookie)
}

// abandon sends writes and gives up, each with a session of its own, and returns how many were kept.
func (p *pair) abandon(ctx context.Context) (int64, error) {
	cookies, err := p.sessions(ctx)
	if err != nil {
		return 0, err
	}
	clients, leave := context.WithCancel(ctx)
	defer leave()
	answers := p.hold(clients, http.MethodPost, func(i int) int { return i % 2 }, cookies)
	if err := p.await(ctx, func(sum Usage) bool { return sum.Held == trials }); err != nil {
		return 0, err
	}
	leave()
	for range cookies {
		if err := <-answers; !errors.Is(err, context.Canceled) {
			return 0, fmt.Errorf("a write was answered before its client gave up (%v)", err)
		}
	}
	// What a library does with a client that has left, it does from here on.
	err = p.await(ctx, func(sum Usage) bool { return sum.Left == trials })
	for _, s := range p.servers {
		err = errors.Join(err, s.open(ctx))
	}
	if err == nil {
		err = p.await(ctx, func(sum Usage) bool { return sum.Active == 0 })
	}
	if err != nil {
		return 0, err
	}
	var kept int64
	for _, cookie := range cookies {
		n, err := p.do(ctx, 0, http.MethodGet, "/read", cookie)
		if err != nil {
			return 0, err
		}
		kept += n
	}
	return kept, nil
}

// logout ends sessions on one server while the other is busy with a slow request of each, and returns how many are back
// when that is done.
func (p *pair) logout(ctx context.Context, method string) (int, error) {
	cookies, err := p.sessions(ctx)
	if err != nil {
		return 0, err
	}
	for _, cookie := range cookies {
		if _, err := p.do(ctx, 0, http.MethodPost, "/write", cookie); err != nil {
			return 0, err
		}
	}
	answers := p.hold(ctx, method, func(int) int { return 0 }, cookies)
	err = p.await(ctx, func(sum Usage) bool { return sum.Held == trials })
	if err == nil {
		err = parallel(trials, trials, func(i int) error {
			_, err := p.do(ctx, 1, http.MethodPost, "/logout", cookies[i])
			return err
		})
	}
	err = errors.Join(err, p.servers[0].open(ctx))
	for range cookies {
		if slow := <-answers; slow != nil && !errors.As(slow, new(refusal)) {
			err = errors.Join(err, slow)
		}
	}
	if err != nil {
		return 0, err
	}
	back := 0
	for _, cookie := range cookies {
		n, err := p.do(ctx, 1, http.MethodGet, "/read", cookie)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			back++
		}
	}
	return back, nil
}

// hold sends a request of each session, which the server holds after it has read the session.
func (p *pair) hold(ctx context.Context, method string, server func(i int) int, cookies []string) (answers <-chan error) {
	errs := make(chan error, len(cookies))
	for i, cookie := range cookies {
		go func() {
			_, err := p.do(ctx, server(i), method, "/slow?wait=held", cookie)
			errs <- err
		}()
	}
	return errs
}

func (p *pair) sessions(ctx context.Context) ([]string, error) {
	cookies := make([]string, trials)
	for i := range cookies {
		var err error
		if cookies[i], err = startSession(ctx, p.servers[0].addr); err != nil {
			return nil, err
		}
	}
	return cookies, nil
}

// await waits until both servers together are as wanted.
func (p *pair) await(ctx context.Context, as func(sum Usage) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var sum Usage
		for _, s := range p.servers {
			usage, err := s.usage(ctx)
			if err != nil {
				return err
			}
			sum.Active, sum.Held, sum.Left = sum.Active+usage.Active, sum.Held+usage.Held, sum.Left+usage.Left
		}
		if as(sum) {
			return nil
		}
		time.Sleep(pause)
	}
}

func slowPath(wait time.Duration) string { return "/slow?wait=" + wait.String() }

// A refusal is an answer other than 200.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

// do sends one request to a server and returns the count that it answers.
func (p *pair) do(ctx context.Context, server int, method, path, cookie string) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+p.servers[server].addr+path, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Cookie", cookie)
	response, err := p.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, refusal{fmt.Sprintf("%s %s: %s: %s", method, path, response.Status, body)}
	}
	return strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(string(body), `{"visits":`), "}"), 10, 64)
}

// parallel calls work for 0 to n-1, at most limit at a time, and returns the first error of any.
func parallel(n, limit int, work func(i int) error) error {
	var running sync.WaitGroup
	errs := make([]error, limit)
	for worker := range limit {
		running.Go(func() {
			for i := worker; i < n && errs[worker] == nil; i += limit {
				errs[worker] = work(i)
			}
		})
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
