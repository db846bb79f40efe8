package explore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/process"
)

// A Target is an application on a store, both of which run on this machine.
type Target struct {
	Application
	// Store is the kind of the store, which says how to decode what servers send to it; empty for another kind.
	Store config.StoreKind
	// StoreAddr is the store's TCP address. It speaks plaintext.
	StoreAddr string
	// Start starts a server of the application that reaches its store at storeAddr, which is not StoreAddr, and returns
	// its URL. The server need not answer yet.
	Start func(name, storeAddr string) (url string, p *process.Process, err error)
}

const (
	readyTimeout = 2 * time.Minute // many servers start at the same time
	// readyPause is the first pause before a server is asked again. Each further one is twice as long, up to readyPauseMax, since
	// the asking slows down a server that takes long.
	readyPause    = 5 * time.Millisecond
	readyPauseMax = 80 * time.Millisecond
	// maxStarts bounds how often a server is started whose port another process has taken.
	maxStarts = 3
)

// A server is a server of the application, and its gate to the store.
type server struct {
	target  *Target
	name    string
	gate    *gate
	process *process.Process
	url     string
}

// startServer starts a server and returns when it has sent every request once: what it connects, prepares and caches when
// it first needs it is there then.
func (t *Target) startServer(ctx context.Context, name string) (*server, error) {
	g, err := newGate(t.StoreAddr, t.Store)
	if err != nil {
		return nil, err
	}
	s := &server{target: t, name: name, gate: g}
	if err = s.start(ctx); err == nil {
		err = s.warmUp(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) start(ctx context.Context) (err error) {
	for range maxStarts {
		if s.url, s.process, err = s.target.Start(s.name, s.gate.address()); err != nil {
			return err
		}
		if err = s.await(ctx); err == nil || !s.process.PortTaken() {
			return err
		}
	}
	return err
}

func (s *server) close() {
	if s.process != nil {
		s.process.Kill()
	}
	s.gate.close()
}

// await waits until the server is ready.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for wait := readyPause; ; wait = min(2*wait, readyPauseMax) {
		response, err := sessiontest.NewClient().Do(ctx, http.MethodGet, s.url+s.target.Ready, "")
		if err == nil && response.StatusCode == http.StatusOK {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("status %d", response.StatusCode)
		}
		select {
		case <-time.After(wait):
		case <-s.process.Done():
			return s.process.Ended()
		case <-ctx.Done():
			return fmt.Errorf("%s does not get ready: GET %s: %w", s.name, s.target.Ready, err)
		}
	}
}

// warmUp sends every request once.
func (s *server) warmUp(ctx context.Context) error {
	visitor := sessiontest.NewClient()
	for _, r := range append(s.target.before(nil), s.target.Requests...) {
		if r.has(ends) {
			if _, err := s.read(ctx, visitor); err != nil {
				return err
			}
		}
		if err := s.must(ctx, visitor, r); err != nil {
			return err
		}
	}
	return nil
}

// must sends a request that has to succeed.
func (s *server) must(ctx context.Context, visitor *sessiontest.Client, r Request) error {
	response, err := s.send(ctx, visitor, r)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s answers %d without any failure: %.200s", s.name, r, response.StatusCode, response.Body)
	}
	return err
}

// send sends a request and keeps the cookies of its answer.
func (s *server) send(ctx context.Context, visitor *sessiontest.Client, r Request) (sessiontest.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	response, err := visitor.Do(ctx, r.Method, s.url+r.Path, r.Form)
	if err == nil {
		keepCookies(visitor, response.Cookies())
	}
	return response, err
}

// A state is the fields of a session by their paths. Numbers that are zero, empty strings and fields that are missing are
// left out, so that no session and an empty one are the same.
type state map[string]string

// An unreadableError says that a server answers the request for the state of a session with an error, though nothing fails.
type unreadableError struct{ text string }

func (e *unreadableError) Error() string { return e.text }

// read returns the state of the visitor's session. A status of 401, 403 or 404 says that there is none. The error is an
// *unreadableError if the server answers with another error.
func (s *server) read(ctx context.Context, visitor *sessiontest.Client) (state, error) {
	response, err := s.send(ctx, visitor, s.target.State)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return state{}, nil
	case http.StatusOK:
	default:
		return nil, &unreadableError{fmt.Sprintf("%s: %s answers %d without any failure: %.200s",
			s.name, s.target.State, response.StatusCode, response.Body)}
	}
	decoder := json.NewDecoder(strings.NewReader(response.Body))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("%s: the answer of %s is no JSON: %w", s.name, s.target.State, err)
	}
	found := state{}
	for _, field := range s.target.fields() {
		value := document
		for name := range strings.SplitSeq(field, ".") {
			object, _ := value.(map[string]any)
			value = object[name]
		}
		switch v := value.(type) {
		case json.Number:
			if v != "0" {
				found[field] = v.String()
			}
		case string:
			if v != "" {
				found[field] = v
			}
		}
	}
	return found, nil
}

// awayTime bounds how long a server may stay away from its store after a fault before it is started anew. Some clients
// don't try a store again for a minute.
const awayTime = 2 * time.Second

// recover waits until the server keeps sessions again, after a fault. It starts the server anew if it was killed, or doesn't
// do so soon.
func (s *server) recover(ctx context.Context) error {
	if s.process.Ended() == nil {
		waiting, cancel := context.WithTimeout(ctx, awayTime)
		defer cancel()
		if err := s.awaitSessions(waiting); err == nil || ctx.Err() != nil {
			return err
		}
		s.process.Kill()
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return s.awaitSessions(ctx)
}

// awaitSessions waits until the server keeps what a request adds to a new session.
func (s *server) awaitSessions(ctx context.Context) error {
	for wait := readyPause; ; wait = min(2*wait, readyPauseMax) {
		visitor := sessiontest.NewClient()
		err := s.must(ctx, visitor, s.target.before(nil)[0])
		if err == nil {
			var kept state
			if kept, err = s.read(ctx, visitor); err == nil && len(kept) > 0 {
				return nil
			}
		}
		select {
		case <-time.After(wait):
		case <-s.process.Done():
			return errors.Join(errors.New("a server ended by itself"), s.process.Ended())
		case <-ctx.Done():
			return fmt.Errorf("%s keeps no sessions after a fault: %w", s.name, errors.Join(ctx.Err(), err))
		}
	}
}
