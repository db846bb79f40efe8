// Command load measures how much lab load sends, and what it says of latency, beside vegeta: the same requests to the same
// fleet, in turn, in one run on one machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"
)

const help = `Measure what lab load sends and what it says of latency, beside vegeta, on one machine.

  go run ./load                        everything, about 15 minutes; Markdown to stdout
  go run ./load -rounds 1 -length 2s   a quick look

A fleet of three servers on Valkey, behind the lab's load balancer, answers GET /api/session. First each program sends at
rates that grow until one isn't held; then all send half of what vegeta held, in turn.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p := plan{holds: outcome.holds, recovery: recovery}
	flag.IntVar(&p.rounds, "rounds", 7, "how often each program sends half of the highest rate")
	flag.DurationVar(&p.length, "length", 8*time.Second, "how long it sends, each time")
	flag.IntVar(&p.least, "least", 1000, "the first of the growing rates, in requests a second")
	flag.IntVar(&p.most, "most", 10_000, "the last one")
	flag.IntVar(&p.step, "step", 500, "from one rate to the next")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), help)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(ctx, p, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// plan says what to send.
type plan struct {
	rounds            int
	length            time.Duration
	least, most, step int // requests a second
	holds             func(o outcome, rate int) bool
	recovery          time.Duration // the rest after a rate that wasn't held
}

func (p plan) check() error {
	if p.rounds < 1 || p.length < 2*time.Second || p.least < 2 || p.most < p.least || p.step < 1 {
		return fmt.Errorf("-rounds %d -length %s -least %d -most %d -step %d: allowed are a number from 1, a duration from 2s, "+
			"a rate from 2, one that is no lower, and a number from 1", p.rounds, p.length, p.least, p.most, p.step)
	}
	return nil
}

// outcome is what a program says of what it has sent.
type outcome struct {
	sent     float64 // requests a second
	right    float64 // share of the requests that were answered with a 200
	p50, p99 float64 // milliseconds from when a request was sent until it was answered
}

const (
	heldShare = 0.99 // of the requests, at least, are sent and answered right where a rate is held
	heldP99   = 250  // milliseconds, at most
)

func (o outcome) holds(rate int) bool {
	return o.sent >= heldShare*float64(rate) && o.right >= heldShare && o.p99 <= heldP99
}

// sender is a program that sends requests at a rate.
type sender struct {
	name string
	send func(ctx context.Context, rate int, length time.Duration) (outcome, error)
}

const (
	tries = 2                      // of a rate until it is held: a machine that is busy for a moment proves nothing
	rest  = 500 * time.Millisecond // after a turn, so that none begins with what the last one left
	// recovery is the rest after a rate that wasn't held. It leaves tens of thousands of connections behind, and one machine
	// has no more ports: the fleet keeps its own for a minute, and Linux those that were closed (TIME_WAIT).
	recovery = 65 * time.Second
)

func run(ctx context.Context, p plan, stdout, stderr io.Writer) (err error) {
	if err := p.check(); err != nil {
		return err
	}
	f, err := startFleet(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	senders, err := f.senders(ctx)
	if err != nil {
		return err
	}
	r := report{started: time.Now(), plan: p}
	highest, err := p.highest(ctx, senders, stderr)
	if err != nil {
		return err
	}
	for i, s := range senders {
		r.rows = append(r.rows, row{name: s.name, highest: highest[i]})
	}
	if r.half = r.rows[0].highest / 2; r.half == 0 {
		return fmt.Errorf("%s didn't hold even %d requests a second", senders[0].name, p.least)
	}
	for round := range p.rounds {
		for i := range senders {
			n := (round + i) % len(senders) // who comes after whom changes
			fmt.Fprintf(stderr, "round %d of %d: ", round+1, p.rounds)
			o, err := p.turn(ctx, senders[n], r.half, p.length, stderr)
			if err != nil {
				return err
			}
			r.rows[n].outcomes = append(r.rows[n].outcomes, o)
		}
	}
	fmt.Fprint(stdout, r.markdown())
	return nil
}

// highest is the highest rate that each sender holds, of rates that grow until it doesn't hold one; 0 if not even the
// first. At every rate they take turns.
func (p plan) highest(ctx context.Context, senders []sender, stderr io.Writer) ([]int, error) {
	highest := make([]int, len(senders))
	next := make([]int, len(senders)) // rate that a sender is to try
	for i := range next {
		next[i] = p.least
	}
	for rate := p.least; rate <= p.most && slices.Contains(next, rate); rate += p.step {
		for range tries {
			for i, s := range senders {
				if next[i] != rate {
					continue // it holds this one, or didn't hold a lower one
				}
				o, err := p.turn(ctx, s, rate, p.length/2, stderr)
				if err != nil {
					return nil, err
				}
				if p.holds(o, rate) {
					highest[i], next[i] = rate, rate+p.step
				}
			}
		}
	}
	return highest, nil
}

// turn has the program send for a while, and rests.
func (p plan) turn(ctx context.Context, s sender, rate int, length time.Duration, stderr io.Writer) (outcome, error) {
	fmt.Fprintf(stderr, "%s at %d requests a second", s.name, rate)
	o, err := s.send(ctx, rate, length)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		fmt.Fprintln(stderr)
		return o, fmt.Errorf("%s: %w", s.name, err)
	}
	fmt.Fprintf(stderr, ": %.0f sent, %.1f %% answered right, p50 %.3f ms, p99 %.3f ms\n", o.sent, 100*o.right, o.p50, o.p99)
	pause := rest
	if !p.holds(o, rate) {
		fmt.Fprintf(stderr, "that isn't held; the machine recovers for %s\n", p.recovery)
		pause = p.recovery
	}
	select {
	case <-time.After(pause):
		return o, nil
	case <-ctx.Done():
		return o, ctx.Err()
	}
}
