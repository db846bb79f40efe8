package explore

import (
	"context"
	"fmt"
	"math"
	"time"

	"stateless-servers/session/sessiontest"
)

// A Hanging says what a request does whose store takes calls and never answers.
type Hanging struct {
	Request string  `json:"request"`
	Answer  string  `json:"answer"`  // the status; "no answer" if none came within 15 seconds
	Seconds float64 `json:"seconds"` // until the answer
}

// Hang sends each request once while the store hangs.
func Hang(ctx context.Context, t Target) ([]Hanging, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	c, err := newCell(ctx, &t, "", 1)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var list []Hanging
	for _, r := range t.Requests {
		h, err := c.hang(ctx, r)
		if err != nil {
			return list, fmt.Errorf("%s: %w", r.Name, err)
		}
		list = append(list, h)
	}
	return list, nil
}

func (c *cell) hang(ctx context.Context, r Request) (Hanging, error) {
	visitor := sessiontest.NewClient()
	for _, before := range c.target.before([]Request{r}) {
		if err := c.observer.must(ctx, visitor, before); err != nil {
			return Hanging{}, err
		}
	}
	s := c.servers[0]
	s.gate.hang(true)
	began := time.Now()
	response, err := s.send(ctx, visitor, r)
	h := Hanging{Request: r.Name, Answer: noAnswer, Seconds: math.Round(time.Since(began).Seconds()*10) / 10}
	s.gate.hang(false)
	if ctx.Err() != nil {
		return h, ctx.Err()
	}
	if err == nil {
		h.Answer = fmt.Sprint(response.StatusCode)
	}
	return h, s.recover(ctx)
}
