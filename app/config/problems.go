package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
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

func (p Problems) has(variable string) bool {
	for _, problem := range p {
		if problem.Variable == variable {
			return true
		}
	}
	return false
}

// add reports the value that c holds in field, once.
func (p *Problems) add(c *Config, field string) {
	f, _ := reflect.TypeFor[Config]().FieldByName(field)
	if p.has(f.Tag.Get("env")) {
		return
	}
	value := format(reflect.ValueOf(*c).FieldByIndex(f.Index))
	if f.Tag.Get("secret") != "" && value != "" {
		value = "(not shown)"
	}
	*p = append(*p, Problem{f.Tag.Get("env"), value, f.Tag.Get("allowed")})
}

// decode fills a Config from the environment and reports every value that doesn't parse. Those fields keep their
// defaults, so that the checks that follow don't report them again as something else.
func decode(environment []string) (Config, Problems) {
	values := env.ToMap(environment)
	var c Config
	err := env.ParseWithOptions(&c, env.Options{Environment: values})
	if err == nil {
		return c, nil
	}
	var problems Problems
	var all env.AggregateError
	if !errors.As(err, &all) {
		return c, Problems{{Allowed: err.Error()}}
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			problems = append(problems, Problem{Allowed: err.Error()})
			continue
		}
		f, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		variable := f.Tag.Get("env")
		problems = append(problems, Problem{variable, values[variable], f.Tag.Get("allowed")})
		delete(values, variable)
	}
	defaults, _ := decode(environmentOf(values))
	return defaults, problems
}

func environmentOf(values map[string]string) []string {
	list := make([]string, 0, len(values))
	for key, value := range values {
		list = append(list, key+"="+value)
	}
	return list
}
