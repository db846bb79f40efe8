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
		Short: "Draw a page of the results of load tests",
		Long: "Report reads files that lab load --json, or lab merge --json, has written, and makes one HTML file of them that needs\n" +
			"nothing else: the latency by percentile and over time, what happened when, the requests of each server, what visitors\n" +
			"saw that they shouldn't, and the setting. Several files are of machines that tested at the same time, and add up. The\n" +
			"exit status is 1 when a file can't be read or written.",
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

// readResults reads files and adds up what is in them.
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
