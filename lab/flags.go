package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// value is a flag that refuses what isn't allowed. What is allowed stands once, and is in the help and in the error.
type value[T any] struct {
	target  *T
	kind    string // what the help calls the value
	allowed string
	parse   func(string) (T, bool)
}

func (v value[T]) Type() string { return v.kind }

// words are what the value may be, nil when it isn't one of a few.
func (v value[T]) words() []string {
	if v.kind != word {
		return nil
	}
	return strings.Split(strings.ReplaceAll(v.allowed, " or ", ", "), ", ")
}

// word is the kind of oneOf.
const word = "name"

// completeValues has shells complete the values of flags that are one of a few words.
func completeValues(root *cobra.Command) {
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if v, ok := f.Value.(interface{ words() []string }); ok && v.words() != nil {
				complete := cobra.FixedCompletions(v.words(), cobra.ShellCompDirectiveNoFileComp)
				_ = c.RegisterFlagCompletionFunc(f.Name, complete) // fails only for a flag that c doesn't have
			}
		})
	}
}

func (v value[T]) String() string {
	if d, ok := any(*v.target).(time.Duration); ok {
		return short(d)
	}
	return fmt.Sprint(*v.target)
}

func (v value[T]) Set(text string) error {
	parsed, ok := v.parse(text)
	if !ok {
		return errors.New(v.allowed)
	}
	*v.target = parsed
	return nil
}

// add declares the flag. Its default is what the target holds.
func (v value[T]) add(flags *pflag.FlagSet, name, use string) {
	flags.Var(v, name, use+": "+v.allowed)
}

func number(target *int, low, high int) value[int] {
	return value[int]{target, "number", fmt.Sprintf("a number from %d to %d", low, high), func(text string) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && low <= n && n <= high
	}}
}

func duration(target *time.Duration, low, high time.Duration) value[time.Duration] {
	allowed := fmt.Sprintf("a duration from %s to %s", short(low), short(high))
	return value[time.Duration]{target, "duration", allowed, func(text string) (time.Duration, bool) {
		d, err := time.ParseDuration(text)
		return d, err == nil && low <= d && d <= high
	}}
}

// short writes 1h0m0s as 1h.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func oneOf[T ~string](target *T, list ...T) value[T] {
	words := make([]string, len(list))
	for i, word := range list {
		words[i] = string(word)
	}
	allowed := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	return value[T]{target, word, allowed, func(text string) (T, bool) { return T(text), slices.Contains(list, T(text)) }}
}

func address(target *string) value[string] {
	return value[string]{target, "host:port", "host:port, such as localhost:6379", func(text string) (string, bool) {
		host, port, err := net.SplitHostPort(text)
		n, parse := strconv.ParseUint(port, 10, 16)
		return text, err == nil && parse == nil && host != "" && n > 0
	}}
}

// loopback is the address of a listener that only this machine reaches; port 0 is any free one.
func loopback(target *string) value[string] {
	const allowed = "a loopback host:port, such as 127.0.0.1:8080, for whoever reaches it can end servers"
	return value[string]{target, "host:port", allowed, func(text string) (string, bool) {
		host, port, err := net.SplitHostPort(text)
		_, parse := strconv.ParseUint(port, 10, 16)
		return text, err == nil && parse == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
	}}
}

// explain turns an error of the flags' parser into one line: flag, value, what is allowed.
func explain(c *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		return notAllowed(invalid.GetFlag().Name, invalid.GetValue(), allowed(invalid.GetFlag(), invalid.Unwrap()))
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

func allowed(flag *pflag.Flag, cause error) string {
	if flag.Value.Type() == "bool" {
		return "true or false"
	}
	return cause.Error()
}

func notAllowed(flag, value, allowed string) error {
	return fmt.Errorf("--%s=%q: allowed is %s", flag, value, allowed)
}
