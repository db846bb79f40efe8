// Command field explores the session stacks in the folder peers, and this repository's own, and writes docs/field.md: which
// orders and failures break a promise, and what each stack does when its store hangs. Every configuration has a file of results in
// docs/field, from which the page is written, so that a single one can be explored anew. Start reading at run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"stateless-servers/lab/explore"
)

// A result is the content of a configuration's file in docs/field.
type result struct {
	explore.ServerReport
	CPU []cpuTime `json:"cpu,omitempty"`
}

// options are the flags of the command.
type options struct {
	root  string // the repository's folder
	only  string // a part of the names of the configurations to explore; empty for all
	pages bool   // explore nothing, write the page from the results that are there
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository's `folder`")
	flag.StringVar(&o.only, "only", "", "explore only configurations whose `name` begins with this, such as php or php-locking")
	flag.BoolVar(&o.pages, "page", false, "explore nothing; write the page from the results in docs/field")
	flag.Parse()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "field:", err)
		os.Exit(1)
	}
}

// run explores the configurations one after another and writes the page. A configuration that can't be explored, because its
// runtime or its packages are not to be had, keeps the result of the last time. The error names it.
func run(ctx context.Context, o options, out io.Writer) error {
	selected := rows()
	if o.only != "" {
		selected = slices.DeleteFunc(selected, func(r row) bool { return !strings.HasPrefix(r.name(), o.only) })
	}
	if len(selected) == 0 {
		return fmt.Errorf("-only=%q: no configuration's name begins with it; there are: %s", o.only, names())
	}
	if o.pages {
		return writePage(o.root)
	}
	var failed error
	for i, r := range selected {
		fmt.Fprintf(out, "%d of %d, %s: ", i+1, len(selected), r.name())
		began := time.Now()
		res, err := r.explore(ctx, o.root, out)
		if err == nil {
			err = r.write(o.root, res)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(out, "NOT EXPLORED\n%v\n", err)
			failed = errors.Join(failed, fmt.Errorf("%s was not explored; the page has its last result", r.name()))
			continue
		}
		explored, broken := res.Totals()
		fmt.Fprintf(out, "%d of %d schedules break a promise, %.0f s\n", broken, explored, time.Since(began).Seconds())
	}
	return errors.Join(failed, writePage(o.root))
}

func names() string {
	var list []string
	for _, r := range rows() {
		list = append(list, r.name())
	}
	return strings.Join(list, ", ")
}

// write writes the result and its diagrams.
func (r row) write(root string, res result) error {
	folder := filepath.Join(root, "docs", "field")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(folder, r.name()+".*.svg"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for promise, drawn := range res.drawn() {
		if err := os.WriteFile(filepath.Join(folder, r.diagram(promise)), []byte(drawn.File(drawn.requests)), 0o644); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(res, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, r.name()+".json"), append(text, '\n'), 0o644)
}

// A drawing is a finding that has a diagram.
type drawing struct {
	explore.Finding
	scenario string
	requests []string
}

// drawn returns the finding to draw for each promise that is broken: the first one without a failure, or else the first one.
func (res result) drawn() map[explore.Promise]drawing {
	found := map[explore.Promise]drawing{}
	for _, s := range res.Scenarios {
		for _, f := range s.Findings {
			best, ok := found[f.Promise]
			if !ok || strings.Contains(best.Schedule, "!") && !strings.Contains(f.Schedule, "!") {
				found[f.Promise] = drawing{f, s.Name, s.Requests}
			}
		}
	}
	return found
}

// diagram returns the name of a diagram, such as php.alive-after-logout.svg.
func (r row) diagram(promise explore.Promise) string {
	return r.name() + "." + strings.ReplaceAll(string(promise), " ", "-") + ".svg"
}

// read returns the row's last result.
func (r row) read(root string) (res result, err error) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "field", r.name()+".json"))
	if err == nil {
		err = json.Unmarshal(text, &res)
	}
	return res, err
}
