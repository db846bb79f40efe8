package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// latencyRow matches a row of the experiment's table: store, requests, failed, p50, p90, p99, more columns, sustained rate.
// Latencies are medians with their ranges.
var latencyRow = regexp.MustCompile(
	`(?m)^\| ([a-z]+)(?:, sticky)? \| [0-9]+ \| [0-9]+ \| ([^|]+) \| [^|]+ \| ([^|]+) \|(?: [^|]+ \|)+? ([0-9]+) \|$`)

// measured returns the table of costs and latencies from the pages in docs, in the order of the bill.
func measured(docs string) (string, error) {
	bill, err := os.ReadFile(filepath.Join(docs, "compare.md"))
	if err != nil {
		return "", err
	}
	latency, err := os.ReadFile(filepath.Join(docs, "observations", "latency.md"))
	if err != nil {
		return "", err
	}
	_, bill, found := bytes.Cut(bill, []byte("\nvariant     store  servers"))
	if !found {
		return "", fmt.Errorf("compare.md has no table of monthly costs")
	}
	bill, _, _ = bytes.Cut(bill, []byte("\n```"))
	speeds := map[string][]string{}
	for _, row := range latencyRow.FindAllStringSubmatch(string(latency), -1) {
		speeds[row[1]] = row[2:]
	}
	var text strings.Builder
	text.WriteString("| sessions in | the store, USD per month | total | p50, ms | p99, ms | sustained, requests/s |\n" +
		"|---|---:|---:|---:|---:|---:|\n")
	rows := 0
	for line := range strings.Lines(string(bill)) {
		cells := strings.Fields(line)
		if len(cells) != 8 || speeds[cells[0]] == nil {
			continue
		}
		rows++
		speed := speeds[cells[0]]
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s |\n", cells[0], cells[1], cells[6], speed[0], speed[1], speed[2])
	}
	if rows != len(speeds) || rows == 0 {
		return "", fmt.Errorf("%d stores have a latency, and %d of them a cost", len(speeds), rows)
	}
	return text.String(), nil
}
