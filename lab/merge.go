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
	var files paths
	var thresholds load.Thresholds
	c := &cobra.Command{
		Use:   "merge FILE FILE...",
		Short: "Merge the results of several machines that tested at the same time",
		Long: "Merge reads files that lab load --json has written on several machines at the same time, and reports one result:\n" +
			"requests and rates add up, and percentiles are computed from all requests. The thresholds of the files apply to the sum,\n" +
			"unless a flag replaces them. The exit status is 1 when a threshold is exceeded, or a file can't be read, or two files\n" +
			"have requests in common, and 130 when one of the tests was interrupted.",
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
			merged.Judge(thresholds)
			written, err := openFiles(files)
			if err != nil {
				return err
			}
			return errors.Join(written.write(merged), summary{c.OutOrStdout(), colours(c.OutOrStdout())}.write(merged))
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	addFiles(flags, &files)
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
