package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"stateless-servers/lab/load"
	"stateless-servers/lab/report"
)

func newReport() *cobra.Command {
	out := "report.html"
	c := &cobra.Command{
		Use:   "report FILE...",
		Short: "Write an HTML report of load test results",
		Long: "Report reads files that lab load --json, or lab merge --json, has written, and writes one self-contained HTML file:\n" +
			"the verdict and its thresholds, latency by percentile, over time and by operation, events, requests of each server,\n" +
			"consistency violations, and settings. Several files must come from machines that tested at the same time, and\n" +
			"are merged. The exit status is 1 when a file can't be read or written.",
		Example: "  lab report result.json\n" +
			"  lab report a.json b.json --out report.html",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("lab report takes files, as lab load --json writes them")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			merged, err := readResults(args)
			if err != nil {
				return err
			}
			file, err := os.Create(out)
			if err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			if err := errors.Join(report.Write(file, merged), file.Close()); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), out)
			return nil
		},
	}
	c.Flags().StringVarP(&out, "out", "o", out, "write the page to this HTML `file`")
	return c
}

// readResults reads and merges the results in the files.
func readResults(paths []string) (load.Result, error) {
	var results []load.Result
	for _, path := range paths {
		r, err := readResult(path)
		if err != nil {
			return load.Result{}, err
		}
		results = append(results, r)
	}
	return load.Merge(results...)
}
