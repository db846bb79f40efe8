package explore

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"stateless-servers/session/sessiontest"
)

// A lane is one request of a run.
type lane struct {
	run     *run
	index   int
	request Request
	server  *server

	held     []*call
	moved    time.Time // when it last called, was replied to, or answered
	answered bool
	response sessiontest.Response
	err      error // why there is no response
	waiting  *call // was released, and its reply has not begun to arrive
	failed   bool  // a fault has struck

	previous *call // the last one that was released
	before   *call // the one before it
	same     int   // identical calls in a row
	stuck    bool  // spinning, until another lane moves
}

func (l *lane) touch() {
	l.moved = time.Now()
	select {
	case l.run.changed <- struct{}{}:
	default:
	}
}

// hold is told of a call that waits.
func (l *lane) hold(c *call) {
	l.run.mu.Lock()
	defer l.run.mu.Unlock()
	l.held = append(l.held, c)
	if p := l.previous; p != nil && string(p.request) == string(c.request) &&
		(l.before == nil || string(l.before.request) != string(p.request) || string(l.before.reply) == string(p.reply)) {
		l.same++
	} else {
		l.same = 0
	}
	l.stuck = l.same >= spinning
	l.touch()
}

// replied is told that the reply of a call is arriving.
func (l *lane) replied(c *call) {
	l.run.mu.Lock()
	defer l.run.mu.Unlock()
	if l.waiting == c {
		l.waiting = nil
	}
	l.touch()
}

// dropped is told that a connection has ended, or that what it held has passed.
func (l *lane) dropped(ended *link) {
	l.run.mu.Lock()
	defer l.run.mu.Unlock()
	l.held = slices.DeleteFunc(l.held, func(c *call) bool { return c.link == ended })
	if l.waiting != nil && l.waiting.link == ended {
		l.waiting = nil
	}
	l.touch()
}

// send sends the request and notes its answer. It returns when the request has been answered, or can't be.
func (l *lane) send(ctx context.Context, visitor *sessiontest.Client) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	response, err := visitor.Do(ctx, l.request.Method, l.server.url+l.request.Path, l.request.Form)
	l.run.mu.Lock()
	defer l.run.mu.Unlock()
	l.answered, l.response, l.err = true, response, err
	l.run.order = append(l.run.order, l)
	answer := noAnswer
	if err == nil {
		answer = fmt.Sprint(response.StatusCode)
	}
	l.run.steps = append(l.run.steps, Step{Request: laneName(l.index), Answer: answer})
	l.touch()
}

// acknowledged reports whether the visitor was told that the request succeeded.
func (l *lane) acknowledged() bool {
	return l.err == nil && l.response.StatusCode < http.StatusBadRequest
}
