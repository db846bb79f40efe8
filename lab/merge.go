package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"stateless-servers/lab/load"
)

func newMerge() *cobra.Command {
	var path string
	var thresholds load.Thresholds
	c := &cobra.Command{
		Use:   "merge FILE FILE...",
		Short: "Merge the results of several machines that tested at the same time",
		Long: "Merge reads files that lab load --json has written on several machines at the same time, and reports one result:\n" +
			"requests and rates add up, and percentiles are computed from all requests.\n" +
			"The exit status is 1 when a threshold is exceeded, or a file can't be read.",
		Example: "  lab merge a.json b.json\n" +
			"  lab merge a.json b.json --json all.json --max-p99 250ms",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("lab merge takes the files of two machines or more, as lab load --json writes them")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			merged, err := readResults(args)
			if err != nil {
				return err
			}
			out := summary{c.OutOrStdout(), colours(c.OutOrStdout())}
			out.write(merged)
			if path != "" {
				file, err := os.Create(path)
				if err != nil {
					return fmt.Errorf("--json: %w", err)
				}
				if err := errors.Join(writeJSON(file, merged), file.Close()); err != nil {
					return err
				}
			}
			return out.checkThresholds(thresholds, merged)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&path, "json", "", "write the merged result to this `file`, which can be merged again")
	addThresholds(flags, &thresholds)
	return c
}

// maxResult is the size limit of a result file, in bytes. A run of a day writes some megabytes.
const maxResult = 64 << 20

func readResult(path string) (load.Result, error) {
	file, err := os.Open(path)
	if err != nil {
		return load.Result{}, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxResult+1))
	if err != nil {
		return load.Result{}, err
	}
	if len(text) > maxResult {
		return load.Result{}, fmt.Errorf("%s: not the result of a load test: it is longer than %d bytes", path, maxResult)
	}
	r, err := load.ParseResult(text)
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
