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

// kept says what a library makes of requests that overlap, as the program of test/bench writes it.
type kept struct {
	Variant                    string
	Increments, SlowIncrements int64
	ByWrite, ByRead            int
}

// peers is what several libraries make of them, and how many there were.
type peers struct {
	Kept    []kept
	Of      struct{ Increments, Trials int }
	Modules map[string]string // the versions of the libraries
}

// The library of this repository and others, all on one Valkey. The last two are there for comparison: whatever they do,
// the claims don't depend on it.
const (
	ownLibrary   = "own-valkey"
	scsLibrary   = "scs"
	scsIdle      = "scs-idle"
	gorillaStore = "gorilla"
)

// title is the library for people.
func title(variant string) string {
	return map[string]string{
		ownLibrary: "this library", scsLibrary: "scs", scsIdle: "scs with an idle timeout",
		gorillaStore: "gorilla/sessions, redistore",
	}[variant]
}

// race has servers of each library race requests of one session against each other.
func (l *Lab) race(ctx context.Context, variants ...string) (p peers, err error) {
	l.Report("building the servers with other libraries")
	program, err := l.Bench(ctx)
	if err != nil {
		return p, err
	}
	dir, err := os.MkdirTemp("", "stateless-servers-peers-")
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	result := filepath.Join(dir, "result.json")
	l.Report("racing requests of one session over two servers of each library")
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
		l.used(module + " " + p.Modules[module])
	}
	return p, nil
}

// of is what the library made of it.
func (p peers) of(variant string) kept {
	for _, k := range p.Kept {
		if k.Variant == variant {
			return k
		}
	}
	return kept{}
}
