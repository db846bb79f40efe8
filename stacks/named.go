package stacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"stateless-servers/app/config"
	"stateless-servers/app/config/allowed"
)

const (
	// configKey is the key of the context that selects a named configuration.
	configKey = "config"
	// maxNameLength bounds the name of a configuration, which begins the names of its stacks and resources.
	maxNameLength = 16
)

// namePattern matches names that ElastiCache allows, in lower case: no two hyphens in a row, and none at the end.
var namePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// configuration returns the setting that selects a named configuration. It stores the name, also of a path.
func configuration(name *string) setting {
	return bind(configKey, name, "", allowed.Kind[string]{Type: "text",
		Allowed: "the NAME of a file configs/NAME.json, or the path of a file NAME.json; NAME is 1 to 16 lower-case letters, " +
			"digits and single hyphens, and begins with a letter",
		Parse: func(text string) (string, bool) {
			path := strings.HasSuffix(text, ".json")
			name := strings.TrimSuffix(filepath.Base(text), ".json")
			return name, (path || name == text) && namePattern.MatchString(name) && len(name) <= maxNameLength &&
				!strings.Contains(text, dynamicReference)
		}})
}

// configFile returns the path of the file that a value of the key config selects.
func configFile(value string) string {
	if strings.HasSuffix(value, ".json") {
		return filepath.Clean(value)
	}
	return filepath.Join("configs", value+".json")
}

// ReadConfig reads the Config from the CDK context, and from a file if the context has the key config. The file is a JSON
// object with the same keys; keys of the context take precedence. Paths are relative to the working directory. It also
// makes the checks that need the region of the deployment, which may be "" for unknown (see CheckRegion), and that the
// server is a program. The error has one line for each problem, which begins with "context" or the path of the file.
func ReadConfig(ctx context.Context, fromCDK map[string]any, region string) (Config, error) {
	keys, file := fromCDK, ""
	if value, given := fromCDK[configKey]; given {
		if !configuration(new(string)).Set(contextText(value)) {
			_, err := ParseConfig(map[string]any{configKey: value})
			return Config{}, err
		}
		file = configFile(contextText(value))
		fromFile, err := readKeys(file)
		if err != nil {
			return Config{}, fmt.Errorf("context config=%q: %w", contextText(value), err)
		}
		if given, has := fromCDK["stage"]; has && given == string(StageProduction) && fromFile["stage"] != given {
			return Config{}, fmt.Errorf("context stage=%q: only in the file %s", given, file)
		}
		keys = override(fromFile, fromCDK)
	}
	c, err := ParseConfig(keys)
	if err == nil {
		err = errors.Join(c.CheckRegion(region), c.checkServer(ctx))
	}
	if err != nil {
		return Config{}, inFile(err, file, fromCDK)
	}
	return c, nil
}

// readKeys reads the keys of a configuration from a file.
func readKeys(file string) (map[string]any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil || keys == nil {
		return nil, fmt.Errorf("%s is not a JSON object of keys and values: %v", file, err)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if key == configKey || strings.ContainsAny(key, ":/") {
			return nil, fmt.Errorf("%s has the key %s, which is allowed in the context only", file, key)
		}
	}
	return keys, nil
}

// override returns the keys of the file with those of the context added, which take precedence. If the context selects
// another store, it leaves out the options in the file that the other store doesn't have.
func override(file, context map[string]any) map[string]any {
	keys := maps.Clone(file)
	if store, given := context["store"]; given {
		var c Config
		from, to := config.StoreDynamoDB, config.StoreKind(contextText(store))
		if value, has := file["store"]; has {
			from = config.StoreKind(contextText(value))
		}
		for _, s := range c.settings() {
			if s.appliesTo(from) && !s.appliesTo(to) {
				delete(keys, s.Name)
			}
		}
	}
	maps.Copy(keys, context)
	return keys
}

// inFile names the file instead of the context in each line about a key that isn't in the context.
func inFile(err error, file string, context map[string]any) error {
	if file == "" {
		return err
	}
	var lines []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		rest, ok := strings.CutPrefix(line, "context ")
		key, _, _ := strings.Cut(rest, "=")
		if _, given := context[key]; ok && !given {
			line = file + " " + rest
		}
		lines = append(lines, errors.New(line))
	}
	return errors.Join(lines...)
}

// stackName returns the name of a stack: Network, Lab or Load after the name of the configuration, or after Stateless.
func (c Config) stackName(kind string) string {
	if c.Name == "" {
		return "Stateless" + kind
	}
	return c.Name + "-" + kind
}
