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

// outputsFile is the file to which npx cdk deploy --outputs-file cdk-outputs.json writes the outputs of the stacks.
const outputsFile = "cdk-outputs.json"

// deployedURL returns the output URL from the file. It returns an error unless exactly one stack has this output.
func deployedURL(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("--url is missing, and so is %s, which npx cdk deploy --outputs-file %s writes; "+
			"lab up serves http://127.0.0.1:8080", path, path)
	}
	if err != nil {
		return "", fmt.Errorf("--url is missing, and the outputs of the deployment are unreadable: %w", err)
	}
	var stacks map[string]map[string]string
	if err := json.Unmarshal(text, &stacks); err != nil {
		return "", fmt.Errorf("--url is missing, and %s is not a file of stack outputs: %w", path, err)
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
	return "", fmt.Errorf("--url is missing, and several stacks in %s have an output URL (%s): choose one with --url", path, strings.Join(names, ", "))
}
