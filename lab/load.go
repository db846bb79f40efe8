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

// loadOptions has the flags of lab load.
type loadOptions struct {
	load.Options
	thresholds load.Thresholds
	files      paths
}

// paths names the files to write; "" for none.
type paths struct{ json, summary, report, history string }

func newLoad() *cobra.Command {
	o := loadOptions{Options: load.Options{
		Rate: load.Rate{{From: 100, To: 100}}, Duration: 30 * time.Second, Warmup: 2 * time.Second, Sessions: 100,
		Mix: load.DefaultMix(), Timeout: 10 * time.Second,
	}}
	c := &cobra.Command{
		Use:   "load",
		Short: "Load-test the application and check every session",
		Long: "Load sends requests at a rate that doesn't depend on the response times (an open model). Latency counts from the time at\n" +
			"which a request was due, so that a server that hangs can't hide it; the service time counts from the time at which it\n" +
			"was sent. Each virtual user opens a session, uses it with overlapping requests, and logs in and out. Load checks every\n" +
			"response, and counts and explains lost sessions, lost updates, stale reads, cross-session leaks, and sessions that are\n" +
			"alive after logout.\n\n" +
			"The exit status is 1 when a threshold (--max-p99, --max-errors, --max-lost) is exceeded. Ctrl-C ends the test early,\n" +
			"reports the result up to then, and gives the exit status 130. docs/load.md has a workflow for GitHub Actions.",
		Example: "  lab load                                        # the deployed application\n" +
			"  lab load --url http://127.0.0.1:8080            # the application of lab up\n" +
			"  lab load --rate 100..500 --duration 5m          # a ramp\n" +
			"  lab load --rate 100,200,400 --duration 3m       # three rates of a minute each\n" +
			"  lab load --mix read=80,write=20 --sessions 1000\n" +
			"  lab load --max-p99 250ms --max-errors 0.1% --max-lost 0 --report report.html",
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
	add(flags, "url", &o.URL, url, "")
	flags.Lookup("url").Usage += "; by default the URL in " + outputsFile
	add(flags, "rate", &o.Rate, allowed.Kind[load.Rate]{Type: "rate", Allowed: load.RateSyntax, Parse: load.ParseRate}, "")
	add(flags, "duration", &o.Duration, allowed.Duration(time.Second, 24*time.Hour), "duration of the measurement; several rates share it equally")
	add(flags, "sessions", &o.Sessions, allowed.Number(1, 100_000), "number of virtual users, each with a session")
	add(flags, "mix", &o.Mix, allowed.Kind[load.Mix]{Type: "weights", Allowed: load.MixSyntax, Parse: load.ParseMix}, "kinds of requests")
	add(flags, "warmup", &o.Warmup, allowed.Duration(0, time.Hour), "duration of the warm-up before the measurement, at the first rate")
	add(flags, "timeout", &o.Timeout, allowed.Duration(10*time.Millisecond, time.Minute), "timeout of each request")
	addFiles(flags, &o.files)
	flags.StringVar(&o.files.report, "report", "", "write a page with charts to this HTML `file`, which has no external references")
	flags.StringVar(&o.files.history, "history", "", "write every request and response to this `file`, for lab check")
	addThresholds(flags, &o.thresholds)
	return c
}

// addFiles declares the flags of the files for programs and for CI.
func addFiles(flags *pflag.FlagSet, files *paths) {
	flags.StringVar(&files.json, "json", "", "write the result to this `file`, for programs, lab report and lab merge")
	flags.StringVar(&files.summary, "summary", "", "append the result as Markdown to this `file`, such as \"$GITHUB_STEP_SUMMARY\"")
}

// addThresholds declares the flags of thresholds.
func addThresholds(flags *pflag.FlagSet, t *load.Thresholds) {
	add(flags, "max-p99", &t.P99, allowed.Optional(allowed.Duration(time.Millisecond, time.Hour)),
		"fail when the 99th percentile of the latency is higher")
	add(flags, "max-errors", &t.Errors, allowed.Optional(percentage("0.1%")),
		"fail when a larger share of the requests fails")
	add(flags, "max-lost", &t.Lost, allowed.Optional(allowed.Number[int64](0, 1_000_000)),
		"fail when there are more consistency violations, of all kinds")
}

// gcPercent is the garbage, in percent of the live heap, at which a collection starts. Fewer collections disturb the
// measurements less.
const gcPercent = 400

// runLoad runs the load test, and writes its result.
func runLoad(ctx context.Context, o loadOptions, stdout, stderr io.Writer) (err error) {
	if o.URL == "" {
		if o.URL, err = deployedURL(outputsFile); err != nil {
			return err
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	view := newProgressView(stderr)
	o.Progress = view.show
	run, err := load.Start(ctx, o.Options)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w before the test began", errInterrupted)
		}
		return err
	}
	files, err := openFiles(o.files)
	if err != nil {
		return err
	}
	if files.history != nil {
		run.WriteHistory(files.history)
	}
	fmt.Fprintf(stderr, "Sending %s requests/s to %s for %s, %d virtual users (%s)\n",
		o.Rate, o.URL, allowed.Format(o.Duration), o.Sessions, o.Mix)
	measured, err := run.Do(ctx)
	view.end()
	measured.Judge(o.thresholds)
	return errors.Join(err, files.write(measured), summary{stdout, colours(stdout)}.write(measured))
}

// outputs has the files to write; nil for files that were not asked for.
type outputs struct{ result, summary, report, history *os.File }

// openFiles creates the files, before the test begins.
func openFiles(p paths) (files outputs, err error) {
	for _, file := range []struct {
		flag, path string
		mode       int
		into       **os.File
	}{
		{"json", p.json, os.O_TRUNC, &files.result}, {"summary", p.summary, os.O_APPEND, &files.summary},
		{"report", p.report, os.O_TRUNC, &files.report}, {"history", p.history, os.O_TRUNC, &files.history},
	} {
		if file.path == "" {
			continue
		}
		if *file.into, err = os.OpenFile(file.path, os.O_RDWR|os.O_CREATE|file.mode, 0o666); err != nil {
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
	if f.summary != nil {
		errs = append(errs, report.WriteMarkdown(f.summary, r))
	}
	if f.report != nil {
		errs = append(errs, report.Write(f.report, r))
	}
	return errors.Join(append(errs, f.close())...)
}

func (f outputs) close() error {
	var errs []error
	for _, file := range []*os.File{f.result, f.summary, f.report, f.history} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

// writeJSON writes the result as JSON.
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
