package config

import (
	"fmt"
	"os"
	"strings"

	"stateless-servers/app/config/allowed"
)

// A Problem is one environment variable whose value is not allowed.
type Problem struct {
	Variable string // its name
	Value    string // what it holds; empty when it is not set
	Allowed  string // what it may hold
}

// Problems is the error of Parse: every bad value, in the order of Config's fields.
type Problems []Problem

// Error has a line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = fmt.Sprintf("%s=%q: allowed is %s", problem.Variable, problem.Value, problem.Allowed)
	}
	return strings.Join(lines, "\n")
}

// Parse reads the environment (KEY=value strings, as of os.Environ). It ignores variables that it doesn't know. SESSION_STORE
// may name a store of Stores or an added one. The error is a Problems with every bad value.
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
		if name, err := os.Hostname(); err == nil && nameForm.MatchString(name) {
			c.ServerName = name
		}
	}
	var problems Problems
	for _, v := range variables {
		if !refused[v.Name] && (v.met == nil || v.met()) {
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

// set fills in the values that are given, and the defaults, and returns the names of variables with values that aren't
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

// Default returns the Config of an empty environment, before any check. It is where stacks and lab start from.
func Default() Config {
	var c Config
	set(c.variables(), nil)
	return c
}

// Variables documents the variables, in the order of Config's fields.
func Variables() []allowed.Value {
	var c Config
	var list []allowed.Value
	for _, v := range c.variables() {
		list = append(list, v.Value)
	}
	return list
}

// Environment renders the values that differ from the defaults as KEY=value, in the order of the fields.
// Parse(c.Environment()) gives c back.
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

// EnvironmentFile renders Environment as systemd reads it (systemd.exec(5), EnvironmentFile=): one quoted assignment
// a line.
func (c Config) EnvironmentFile() string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var file strings.Builder
	for _, line := range c.Environment() {
		key, value, _ := strings.Cut(line, "=")
		fmt.Fprintf(&file, "%s=\"%s\"\n", key, quote.Replace(value))
	}
	return file.String()
}
