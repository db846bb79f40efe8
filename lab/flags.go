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

// flag is a flag that refuses what isn't allowed. What is allowed stands once, and is in the help and in the error.
type flag struct {
	allowed.Value
	words []string // what it may be, nil when it isn't one of a few
}

// add declares a flag, whose default is the present value of the variable.
func add[T any](flags *pflag.FlagSet, name string, variable *T, kind allowed.Kind[T], use string) {
	flags.Var(flag{allowed.Bind(name, variable, "", kind), kind.Words}, name, use+": "+kind.Allowed)
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
		return errors.New(f.Allowed)
	}
	return nil
}

// completeValues has shells complete the values of flags that are one of a few words.
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

func address() allowed.Kind[string] {
	return hostPort("host:port, such as localhost:6379", func(host string, port uint64) bool { return host != "" && port > 0 })
}

// loopback is the address of a listener that only this machine reaches; port 0 is any free one.
func loopback() allowed.Kind[string] {
	return hostPort("a loopback host:port, such as 127.0.0.1:8080, for whoever reaches it can end servers",
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

// percentage is a percentage such as the example, which is parsed to percent.
func percentage(example string) allowed.Kind[float64] {
	return allowed.Kind[float64]{Type: "percentage", Allowed: "a percentage from 0% to 100%, such as " + example,
		Parse: func(text string) (float64, bool) {
			digits, isPercent := strings.CutSuffix(text, "%")
			n, err := strconv.ParseFloat(digits, 64)
			return n, isPercent && err == nil && 0 <= n && n <= 100
		}}
}

// explain turns an error of the flags' parser into one line: flag, value, what is allowed.
func explain(c *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		return notAllowed(invalid.GetFlag().Name, invalid.GetValue(), whatIsAllowed(invalid.GetFlag(), invalid.Unwrap()))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value: %s", missing.GetSpecifiedName(), missing.GetFlag().Usage)
	case errors.As(err, &unknown):
		var list []string
		c.Flags().VisitAll(func(f *pflag.Flag) { list = append(list, "--"+f.Name) })
		return fmt.Errorf("%w; %s has %s", err, c.CommandPath(), strings.Join(list, ", "))
	default:
		return err
	}
}

func whatIsAllowed(flag *pflag.Flag, cause error) string {
	if flag.Value.Type() == "bool" {
		return allowed.Boolean().Allowed
	}
	return cause.Error()
}

func notAllowed(flag, value, allowed string) error {
	return fmt.Errorf("--%s=%q: allowed is %s", flag, value, allowed)
}
