// Command load compares lab load with vegeta: the highest rate that each sustains, and the latencies that each reports. All send
// the same requests to the same fleet, in turn, in one run on one machine. It prints a Markdown table, which docs/benchmarks.md
// explains. Start reading at run.
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

const help = `Compare the rates and latencies of lab load with vegeta, on one machine.

  go run ./load                        everything, about 15 minutes; prints Markdown
  go run ./load -rounds 1 -length 2s   a quick look

Three servers on Valkey, behind the lab's load balancer, serve GET /api/session. First each program sends at increasing rates
until it does not sustain one. Then all programs, in turn, send at half of the highest rate that vegeta sustained.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p := plan{sustained: outcome.sustains, recovery: recovery}
	flag.IntVar(&p.rounds, "rounds", 7, "turns of each program at half of the highest rate")
	flag.DurationVar(&p.length, "length", 8*time.Second, "duration of a turn")
	flag.IntVar(&p.minRate, "least", 1000, "the first of the increasing rates, in requests per second")
	flag.IntVar(&p.maxRate, "most", 10_000, "the last of the increasing rates")
	flag.IntVar(&p.step, "step", 500, "the difference between two rates")
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

// A plan contains the settings of a run.
type plan struct {
	rounds                 int
	length                 time.Duration // of a turn
	minRate, maxRate, step int           // requests per second
	sustained              func(o outcome, rate int) bool
	recovery               time.Duration // the pause after a rate that was not sustained
}

func (p plan) check() error {
	if p.rounds < 1 || p.length < 2*time.Second || p.minRate < 2 || p.maxRate < p.minRate || p.step < 1 {
		return fmt.Errorf("-rounds %d -length %s -least %d -most %d -step %d: allowed are rounds from 1, a length from 2s, "+
			"a least rate from 2, a most rate from the least, and a step from 1", p.rounds, p.length, p.minRate, p.maxRate, p.step)
	}
	return nil
}

// An outcome is the result that a program reports for a turn.
type outcome struct {
	sent      float64 // requests per second
	succeeded float64 // share of the requests with a response of status 200
	p50, p99  float64 // milliseconds from sending a request to its response
}

// The limits of an outcome for a rate to count as sustained.
const (
	minShare = 0.99 // of the requests are sent, and succeed
	maxP99   = 250  // milliseconds
)

// sustains reports whether the outcome sustains the rate, in requests per second.
func (o outcome) sustains(rate int) bool {
	return o.sent >= minShare*float64(rate) && o.succeeded >= minShare && o.p99 <= maxP99
}

// sender is a program that sends requests at a rate.
type sender struct {
	name string
	send func(ctx context.Context, rate int, length time.Duration) (outcome, error)
}

const (
	tries = 2                      // attempts at a rate, because the machine may be busy for a moment
	pause = 500 * time.Millisecond // after a turn, so that turns don't affect each other
	// recovery is the pause after a rate that was not sustained. Such a turn uses up the ports of the machine with tens of
	// thousands of connections. The fleet keeps its idle connections for a minute, and so does Linux with closed ones (TIME_WAIT).
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
		return fmt.Errorf("%s did not sustain the lowest rate, %d requests per second", senders[0].name, p.minRate)
	}
	for round := range p.rounds {
		for i := range senders {
			n := (round + i) % len(senders) // the order changes from round to round
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

// highest returns the highest rate that each sender sustains, or 0 if it does not sustain the first. A sender's rates increase
// until it does not sustain one. At every rate the senders take turns.
func (p plan) highest(ctx context.Context, senders []sender, stderr io.Writer) ([]int, error) {
	highest := make([]int, len(senders))
	next := make([]int, len(senders)) // the rate to try next, by sender
	for i := range next {
		next[i] = p.minRate
	}
	for rate := p.minRate; rate <= p.maxRate && slices.Contains(next, rate); rate += p.step {
		for range tries {
			for i, s := range senders {
				if next[i] != rate {
					continue // it has sustained this rate, or failed at a lower one
				}
				o, err := p.turn(ctx, s, rate, p.length/2, stderr)
				if err != nil {
					return nil, err
				}
				if p.sustained(o, rate) {
					highest[i], next[i] = rate, rate+p.step
				}
			}
		}
	}
	return highest, nil
}

// turn runs the sender for the length, and then pauses.
func (p plan) turn(ctx context.Context, s sender, rate int, length time.Duration, stderr io.Writer) (outcome, error) {
	fmt.Fprintf(stderr, "%s at %d requests per second", s.name, rate)
	o, err := s.send(ctx, rate, length)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		fmt.Fprintln(stderr)
		return o, fmt.Errorf("%s: %w", s.name, err)
	}
	fmt.Fprintf(stderr, ": %.0f sent, %.1f %% succeeded, p50 %.3f ms, p99 %.3f ms\n", o.sent, 100*o.succeeded, o.p50, o.p99)
	wait := pause
	if !p.sustained(o, rate) {
		fmt.Fprintf(stderr, "the rate was not sustained; waiting %s until the machine has recovered\n", p.recovery)
		wait = p.recovery
	}
	select {
	case <-time.After(wait):
		return o, nil
	case <-ctx.Done():
		return o, ctx.Err()
	}
}
