package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stateless-servers/app/config/allowed"
)

// A flag is a pflag.Value with a check. The description of the allowed values is in its help and in its error.
type flag struct {
	allowed.Value
	words []string // the allowed words, or nil if there are none to list
}

// add declares a flag. Its default is the present value of the variable. Its help is the use, which may be empty, and the
// allowed values.
func add[T any](flags *pflag.FlagSet, name string, variable *T, kind allowed.Kind[T], use string) {
	flags.Var(flag{allowed.Bind(name, variable, "", kind), kind.Words}, name, strings.TrimPrefix(use+": "+kind.Allowed, ": "))
}

func (f flag) Type() string {
	switch f.Value.Type {
	case "word":
		return "name"
	case "whole number":
		return "number"
	default:
		return f.Value.Type
	}
}

func (f flag) String() string { return f.Text() }

func (f flag) Set(text string) error {
	if !f.Value.Set(text) {
		return errors.New(f.Allowed + didYouMean(text, f.words)) // explain adds the flag and the value
	}
	return nil
}

// completeValues registers shell completion for flags with a list of allowed words.
func completeValues(root *cobra.Command) {
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if v, ok := f.Value.(flag); ok && v.words != nil {
				complete := cobra.FixedCompletions(v.words, cobra.ShellCompDirectiveNoFileComp)
				_ = c.RegisterFlagCompletionFunc(f.Name, complete) // fails only for a flag that c doesn't have
			}
		})
	}
}

// address returns the kind of flag that takes an address of a server.
func address() allowed.Kind[string] {
	return hostPort("host:port, such as localhost:6379", func(host string, port uint64) bool { return host != "" && port > 0 })
}

// loopback returns the kind of flag that takes the address of a listener on a loopback interface. Port 0 means any free port.
func loopback() allowed.Kind[string] {
	return hostPort("a loopback host:port, such as 127.0.0.1:8080, because everyone who can reach it can end servers",
		func(host string, _ uint64) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() })
}

func hostPort(description string, check func(host string, port uint64) bool) allowed.Kind[string] {
	kind := allowed.Text(description, func(text string) bool {
		host, port, err := net.SplitHostPort(text)
		n, parse := strconv.ParseUint(port, 10, 16)
		return err == nil && parse == nil && check(host, n)
	})
	kind.Type = "host:port"
	return kind
}

// percentage returns the kind of flag that takes a percentage, from 0 to 100, written like the example.
func percentage(example string) allowed.Kind[float64] {
	return allowed.Kind[float64]{Type: "percentage", Allowed: "a percentage from 0% to 100%, such as " + example,
		Parse: func(text string) (float64, bool) {
			digits, isPercent := strings.CutSuffix(text, "%")
			n, err := strconv.ParseFloat(digits, 64)
			return n, isPercent && err == nil && 0 <= n && n <= 100
		}}
}

// explain turns an error of the flag parser into one line with the flag, its value, and the allowed values.
func explain(c *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		return notAllowed(invalid.GetFlag().Name, invalid.GetValue(), allowedValues(invalid.GetFlag(), invalid.Unwrap()))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value: %s", missing.GetSpecifiedName(), missing.GetFlag().Usage)
	case errors.As(err, &unknown):
		var list []string
		c.Flags().VisitAll(func(f *pflag.Flag) { list = append(list, "--"+f.Name) })
		return fmt.Errorf("%w%s; %s has %s", err, didYouMean("--"+unknown.GetSpecifiedName(), list), c.CommandPath(), strings.Join(list, ", "))
	default:
		return err
	}
}

func allowedValues(flag *pflag.Flag, cause error) string {
	if flag.Value.Type() == "bool" {
		return allowed.Boolean().Allowed
	}
	return cause.Error()
}

func notAllowed(flag, value, allowed string) error {
	return fmt.Errorf("--%s=%q: allowed is %s", flag, value, allowed)
}

// didYouMean returns a question, in parentheses, that names the words that are spelled like the text, or "".
func didYouMean(text string, words []string) string {
	if text == "" {
		return ""
	}
	c := cobra.Command{SuggestionsMinimumDistance: 2}
	for _, word := range words {
		c.AddCommand(&cobra.Command{Use: word, Run: func(*cobra.Command, []string) {}})
	}
	if similar := c.SuggestionsFor(text); len(similar) > 0 {
		return " (did you mean " + allowed.JoinOr(similar) + "?)"
	}
	return ""
}
