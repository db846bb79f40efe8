package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// outputsFile is where npx cdk deploy --outputs-file cdk-outputs.json leaves what a deployment has.
const outputsFile = "cdk-outputs.json"

// deployedURL returns the output URL of the one stack in the file that has it.
func deployedURL(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("--url is missing, and so is %s, which npx cdk deploy --outputs-file %s writes; "+
			"--url http://127.0.0.1:8080 is what lab up runs", path, path)
	}
	if err != nil {
		return "", fmt.Errorf("--url is missing, and reading the deployment's fails: %w", err)
	}
	var stacks map[string]map[string]string
	if err := json.Unmarshal(text, &stacks); err != nil {
		return "", fmt.Errorf("--url is missing, and %s has no outputs of stacks: %w", path, err)
	}
	var urls, names []string
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		if url := stacks[name]["URL"]; url != "" {
			urls, names = append(urls, url), append(names, name)
		}
	}
	switch len(urls) {
	case 0:
		return "", fmt.Errorf("--url is missing, and no stack in %s has an output URL", path)
	case 1:
		return urls[0], nil
	}
	return "", fmt.Errorf("--url is missing, and several stacks in %s have a URL (%s): choose one", path, strings.Join(names, ", "))
}
