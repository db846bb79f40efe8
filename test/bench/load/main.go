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
	"time"
)

const help = `Measure what lab load sends and what it says of latency, beside vegeta, on one machine.

  go run ./load                        everything, about 6 minutes; Markdown to stdout
  go run ./load -rounds 1 -length 2s   a quick look

A fleet of three servers on Valkey, behind the lab's load balancer, answers GET /api/session. First each program sends at
rates that grow until one isn't held; then all send half of what vegeta held, in turn.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var p plan
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
	rest  = 500 * time.Millisecond // between two turns, so that none begins with what the last one left
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
	for _, s := range senders {
		rate, err := p.highest(ctx, s, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.rows = append(r.rows, row{name: s.name, highest: rate})
	}
	if r.half = r.rows[0].highest / 2; r.half == 0 {
		return fmt.Errorf("%s didn't hold even %d requests a second", senders[0].name, p.least)
	}
	for round := range p.rounds {
		for i := range senders {
			n := (round + i) % len(senders) // who comes after whom changes
			fmt.Fprintf(stderr, "round %d of %d: %s at %d requests a second\n", round+1, p.rounds, senders[n].name, r.half)
			o, err := turn(ctx, senders[n], r.half, p.length)
			if err != nil {
				return fmt.Errorf("%s: %w", senders[n].name, err)
			}
			if !o.holds(r.half) {
				fmt.Fprintf(stderr, "it was not held: %.0f a second, %.1f %% answered right\n", o.sent, 100*o.right)
			}
			r.rows[n].outcomes = append(r.rows[n].outcomes, o)
		}
	}
	fmt.Fprint(stdout, r.markdown())
	return nil
}

// highest is the highest rate that is held, of rates that grow until one isn't; 0 if the first isn't.
func (p plan) highest(ctx context.Context, s sender, stderr io.Writer) (int, error) {
	highest := 0
	for rate := p.least; rate <= p.most; rate += p.step {
		for try := 0; try < tries && highest < rate; try++ {
			fmt.Fprintf(stderr, "%s at %d requests a second\n", s.name, rate)
			o, err := turn(ctx, s, rate, p.length/2)
			if err != nil {
				return 0, err
			}
			if o.holds(rate) {
				highest = rate
			}
		}
		if highest < rate {
			break
		}
	}
	return highest, nil
}

func turn(ctx context.Context, s sender, rate int, length time.Duration) (outcome, error) {
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
	o, err := s.send(ctx, rate, length)
	if err == nil {
		err = ctx.Err()
	}
	return o, err
}
