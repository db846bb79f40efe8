package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stateless-servers/session/sessiontest/process"
)

// raceResult is the result of one library for overlapping requests, in the JSON of test/bench.
type raceResult struct {
	Variant                    string
	Increments, SlowIncrements int64
	ByWrite, ByRead            int
}

// raceResults has the results of several libraries, and the number of requests.
type raceResults struct {
	Kept    []raceResult
	Of      struct{ Increments, Trials int }
	Modules map[string]string // the versions of the libraries
}

// The libraries to compare, all on one Valkey. The claims don't depend on the last two.
const (
	ownLibrary   = "own-valkey"
	scsLibrary   = "scs"
	scsIdle      = "scs-idle"
	gorillaStore = "gorilla"
)

// libraryName returns the name of the library for people.
func libraryName(variant string) string {
	return map[string]string{
		ownLibrary: "this library", scsLibrary: "scs", scsIdle: "scs with an idle timeout",
		gorillaStore: "gorilla/sessions, redistore",
	}[variant]
}

// race runs test/bench, in which the servers of each library race requests of one session.
func (r *Runner) race(ctx context.Context, variants ...string) (p raceResults, err error) {
	r.Report("building the servers with other libraries")
	program, err := r.Bench(ctx)
	if err != nil {
		return p, err
	}
	dir, err := os.MkdirTemp("", "stateless-servers-peers-")
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	result := filepath.Join(dir, "result.json")
	r.Report("racing requests of one session over two servers of each library")
	bench, err := process.Start(process.Command{Name: "test/bench", Path: program, Args: []string{
		"-correctness", "-variants", strings.Join(variants, ","), "-json", result,
	}})
	if err != nil {
		return p, err
	}
	select {
	case <-bench.Done():
	case <-ctx.Done():
		bench.Kill()
		return p, ctx.Err()
	}
	if bench.ExitCode() != 0 {
		return p, bench.Ended()
	}
	text, err := os.ReadFile(result)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err == nil && len(p.Kept) != len(variants) {
		err = fmt.Errorf("%d libraries", len(p.Kept))
	}
	if err != nil {
		return p, fmt.Errorf("reading what test/bench found: %w", err)
	}
	for _, module := range slices.Sorted(maps.Keys(p.Modules)) {
		r.addVersion(module + " " + p.Modules[module])
	}
	return p, nil
}

// of returns the result of the library.
func (p raceResults) of(variant string) raceResult {
	for _, k := range p.Kept {
		if k.Variant == variant {
			return k
		}
	}
	return raceResult{}
}
