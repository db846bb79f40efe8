package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stateless-servers/app/config/allowed"
	"stateless-servers/lab/load"
	"stateless-servers/lab/report"
)

// loadOptions are the flags of lab load.
type loadOptions struct {
	load.Options
	thresholds            load.Thresholds
	json, history, report string // paths; empty for none
}

func newLoad() *cobra.Command {
	o := loadOptions{Options: load.Options{
		Rate: load.Rate{{From: 100, To: 100}}, Duration: 30 * time.Second, Warmup: 2 * time.Second, Sessions: 100,
		Mix: load.DefaultMix(), Timeout: 10 * time.Second,
	}}
	c := &cobra.Command{
		Use:   "load",
		Short: "Load-test the application, and check every session meanwhile",
		Long: "Load sends requests at a rate that doesn't depend on how fast they are answered, as visitors do. Latency counts from\n" +
			"the moment at which a request was due, so that a server that hangs can't hide it; the service time beside it counts\n" +
			"from when it was sent. Each visitor has a session of its own, opens it, uses it, with requests that overlap on purpose,\n" +
			"logs in and out, and knows what it must see: lost sessions, lost updates, stale reads, other visitors' data, and sessions\n" +
			"that are there again after their logout are counted and explained.\n\n" +
			"The exit status is 1 when a threshold (--max-p99, --max-errors, --max-lost) is broken. Ctrl-C ends the test early; what\n" +
			"was measured until then is reported.",
		Example: "  lab load                                        # what npx cdk deploy has just deployed\n" +
			"  lab load --url http://127.0.0.1:8080            # what lab up runs\n" +
			"  lab load --rate 100..500 --duration 5m          # a ramp\n" +
			"  lab load --rate 100,200,400 --duration 3m       # three steps of a minute\n" +
			"  lab load --mix read=80,write=20 --sessions 1000\n" +
			"  lab load --max-p99 250ms --max-errors 0.1% --max-lost 0 --json result.json --report report.html",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runLoad(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	url := allowed.Text("the address of an application, such as http://127.0.0.1:8080", func(text string) bool {
		_, err := load.ParseURL(text)
		return err == nil
	})
	url.Type = "address"
	add(flags, "url", &o.URL, url, "what to test; by default the URL in "+outputsFile)
	add(flags, "rate", &o.Rate, allowed.Kind[load.Rate]{Type: "rate", Allowed: load.RateSyntax, Parse: load.ParseRate}, "how much to send")
	add(flags, "duration", &o.Duration, allowed.Duration(time.Second, 24*time.Hour), "how long to measure; several rates share it equally")
	add(flags, "sessions", &o.Sessions, allowed.Number(1, 100_000), "visitors, each with a session")
	add(flags, "mix", &o.Mix, allowed.Kind[load.Mix]{Type: "weights", Allowed: load.MixSyntax, Parse: load.ParseMix}, "what the visitors do")
	add(flags, "warmup", &o.Warmup, allowed.Duration(0, time.Hour), "how long to send before measuring, at the first rate")
	add(flags, "timeout", &o.Timeout, allowed.Duration(10*time.Millisecond, time.Minute), "how long to wait for an answer")
	flags.StringVar(&o.json, "json", "", "write the result to this `file`, for programs and for lab merge")
	flags.StringVar(&o.report, "report", "", "write a page with charts to this HTML `file`, which needs nothing else")
	flags.StringVar(&o.history, "history", "", "write what every visitor sent and saw to this `file`, for lab check")
	addThresholds(flags, &o.thresholds)
	return c
}

// addThresholds declares the flags of thresholds.
func addThresholds(flags *pflag.FlagSet, t *load.Thresholds) {
	add(flags, "max-p99", &t.P99, allowed.Optional(allowed.Duration(time.Millisecond, time.Hour)),
		"fail when the 99th percentile of the latency is above")
	add(flags, "max-errors", &t.Errors, allowed.Optional(percentage("0.1%")),
		"fail when more of the requests than this are errors")
	add(flags, "max-lost", &t.Lost, allowed.Optional(allowed.Number[int64](0, 1_000_000)),
		"fail when more sessions or updates than this are lost, stale, crossed or resurrected")
}

// garbage is how much of it, in percent of what is in use, is left lying about: collecting it shows in what is measured.
const garbage = 400

// runLoad runs the test and reports.
func runLoad(ctx context.Context, o loadOptions, stdout, stderr io.Writer) (err error) {
	if o.URL == "" {
		if o.URL, err = deployedURL(outputsFile); err != nil {
			return err
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	view := newProgressView(stderr)
	o.Progress = view.show
	run, err := load.Start(ctx, o.Options)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted before the test began")
		}
		return err
	}
	files, err := openFiles(o)
	if err != nil {
		return err
	}
	if files.history != nil {
		run.WriteHistory(files.history)
	}
	fmt.Fprintf(stderr, "Sending %s requests/s to %s for %s, %d visitors (%s)\n",
		o.Rate, o.URL, allowed.Format(o.Duration), o.Sessions, o.Mix)
	measured, err := run.Do(ctx)
	view.end()
	summary{stdout, colours(stdout)}.write(measured)
	if err = errors.Join(err, files.write(measured)); err != nil {
		return err
	}
	return summary{stdout, colours(stdout)}.judge(o.thresholds, measured)
}

// outputs are the files that a test is to write; nil for those that it isn't to.
type outputs struct{ result, report, history *os.File }

// openFiles opens them before the test begins.
func openFiles(o loadOptions) (files outputs, err error) {
	for _, file := range []struct {
		flag, path string
		into       **os.File
	}{{"json", o.json, &files.result}, {"report", o.report, &files.report}, {"history", o.history, &files.history}} {
		if file.path == "" {
			continue
		}
		if *file.into, err = os.Create(file.path); err != nil {
			return outputs{}, errors.Join(fmt.Errorf("--%s: %w", file.flag, err), files.close())
		}
	}
	return files, nil
}

// write writes the result and closes all files.
func (f outputs) write(r load.Result) error {
	var errs []error
	if f.result != nil {
		errs = append(errs, writeJSON(f.result, r))
	}
	if f.report != nil {
		errs = append(errs, report.Write(f.report, r))
	}
	return errors.Join(append(errs, f.close())...)
}

func (f outputs) close() error {
	var errs []error
	for _, file := range []*os.File{f.result, f.report, f.history} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

// writeJSON writes the result.
func writeJSON(w io.Writer, r load.Result) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
