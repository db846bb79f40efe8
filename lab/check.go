package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"stateless-servers/app/config/allowed"
	"stateless-servers/lab/check"
)

func newCheck() *cobra.Command {
	limits := check.Limits{Session: 10 * time.Second, Total: 5 * time.Minute}
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Check the history of a load test again",
		Long: "Check reads the history that lab load --history has written: every request and response. It counts the violations again,\n" +
			"and checks with porcupine that each session is linearizable. It explains the first violation with the requests, servers\n" +
			"and times. The exit status is 1 when there is a violation.",
		Example: "  lab load --url http://127.0.0.1:8080 --history history.jsonl\n" +
			"  lab check history.jsonl",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("lab check takes one file, as lab load --history writes it")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runCheck(c.Context(), args[0], limits, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	add(c.Flags(), "timeout", &limits.Session, allowed.Duration(100*time.Millisecond, time.Hour), "time limit of the linearizability check, for each session")
	add(c.Flags(), "total", &limits.Total, allowed.Duration(100*time.Millisecond, 24*time.Hour), "time limit of reading the history, and of the linearizability check, for all sessions")
	return c
}

func runCheck(ctx context.Context, path string, limits check.Limits, stdout, stderr io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	defer remind(stderr, "Checking "+path)()
	reading, cancel := context.WithTimeoutCause(ctx, limits.Total, errors.New("checking it takes longer than --total"))
	defer cancel()
	replay, err := check.ReadHistory(reading, file)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	found := replay.CheckLinearizability(ctx, limits)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	c := replay.Counts
	fmt.Fprintf(stdout, "%s, %d requests in %d sessions\n\n", replay.Header.URL, replay.Requests, c.Total)
	fmt.Fprintf(stdout, "Counted        %d sessions lost, %d updates lost, %d stale reads, %d cross-session leaks, %d alive after logout\n",
		c.Lost, c.LostUpdates, c.StaleReads, c.CrossSessionLeaks, c.AliveAfterLogout)
	fmt.Fprintf(stdout, "Linearizable   %d of %d sessions", found.Linearizable, found.Sessions)
	if found.Undecided > 0 {
		fmt.Fprintf(stdout, ", %d undecided (see --timeout and --total)", found.Undecided)
	}
	fmt.Fprintln(stdout)
	switch {
	case c.Violations() > 0:
		fmt.Fprintf(stdout, "\n%s\n", replay.Findings[0].Text)
		return fmt.Errorf("%s: %d violations", path, c.Violations())
	case found.Violation != "":
		fmt.Fprintf(stdout, "\n%s\n", found.Violation)
		return fmt.Errorf("%s: %d sessions are not linearizable", path, found.Sessions-found.Linearizable-found.Undecided)
	}
	return nil
}

// remind reports every two seconds that the work goes on, until the returned function is called.
func remind(w io.Writer, what string) (stop func()) {
	started, done := time.Now(), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(linesEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(w, "%s, %.0f s\n", what, time.Since(started).Seconds())
			case <-done:
				return
			}
		}
	})
	return func() { close(done); group.Wait() }
}
