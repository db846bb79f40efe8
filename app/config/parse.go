package config

import (
	"fmt"
	"os"
	"strings"

	"stateless-servers/app/config/allowed"
)

// A Problem describes an environment variable whose value is not allowed.
type Problem struct {
	Variable string // the name
	Value    string // the value; empty if the variable is not set
	Allowed  string // a description of the allowed values
}

// Problems is the error of Parse. It has every bad value, in the order of Config's fields.
type Problems []Problem

// Error returns a line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = fmt.Sprintf("%s=%q: allowed is %s", problem.Variable, problem.Value, problem.Allowed)
	}
	return strings.Join(lines, "\n")
}

// Parse parses the environment, KEY=value strings as returned by os.Environ. It ignores unknown variables. SESSION_STORE may
// be one of StoreKinds or of the added stores. The error is a Problems with every bad value.
func Parse(environment []string, added ...StoreKind) (Config, error) {
	given := map[string]string{}
	for _, line := range environment {
		name, value, _ := strings.Cut(line, "=")
		given[name] = value
	}
	var c Config
	variables := c.variables(added...)
	refused := set(variables, given)
	if c.ServerName == "" {
		if name, err := os.Hostname(); err == nil && namePattern.MatchString(name) {
			c.ServerName = name
		}
	}
	var problems Problems
	for _, v := range variables {
		if !refused[v.Name] && (v.condition == nil || v.condition()) {
			continue
		}
		value := v.text(given)
		if v.secret && value != "" {
			value = "(not shown)"
		}
		problems = append(problems, Problem{v.Name, value, v.Allowed})
	}
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// set sets the variables to the given values or their defaults, and returns the names of the variables whose values aren't
// allowed.
func set(variables []variable, given map[string]string) (refused map[string]bool) {
	refused = map[string]bool{}
	for _, v := range variables {
		if text := v.text(given); text != "" && !v.Set(text) {
			refused[v.Name] = true
		}
	}
	return refused
}

// Default returns the Config of an empty environment without checking it. Callers that render a Config start from it.
func Default() Config {
	var c Config
	set(c.variables(), nil)
	return c
}

// Variables returns the descriptions of the variables, in the order of Config's fields.
func Variables() []allowed.Value {
	var c Config
	var list []allowed.Value
	for _, v := range c.variables() {
		list = append(list, v.Value)
	}
	return list
}

// Environment returns the values that differ from the defaults as KEY=value strings, in the order of the fields.
// Parse(c.Environment()) returns c again.
func (c Config) Environment() []string {
	var list []string
	d := Default()
	defaults := d.variables()
	for i, v := range c.variables() {
		if value := v.Text(); value != defaults[i].Text() {
			list = append(list, v.Name+"="+value)
		}
	}
	return list
}

// EnvironmentFile returns Environment in the syntax of systemd (systemd.exec(5), EnvironmentFile=): one quoted assignment
// per line.
func (c Config) EnvironmentFile() string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var file strings.Builder
	for _, line := range c.Environment() {
		key, value, _ := strings.Cut(line, "=")
		fmt.Fprintf(&file, "%s=\"%s\"\n", key, quote.Replace(value))
	}
	return file.String()
}
