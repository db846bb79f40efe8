// Package allowed parses and validates the values of environment variables, CDK context keys and command-line flags. A Kind
// parses the text of a value and describes which values are allowed. Bind ties a variable of the program to a name and a
// Kind, as a Value. Documentation and error messages use the same descriptions.
package allowed

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Kind is a set of allowed values.
type Kind[T any] struct {
	Type    string                               // the name in documentation, such as "duration"
	Allowed string                               // a description of the set, such as "a duration from 1s to 1h"
	Words   []string                             // all values, if they are a few words
	Parse   func(text string) (value T, ok bool) // ok is false if the value isn't allowed
}

// WithAllowed returns the kind with another description of the allowed values.
func (k Kind[T]) WithAllowed(allowed string) Kind[T] {
	k.Allowed = allowed
	return k
}

// AppendAllowed returns the kind with more appended to its description of the allowed values.
func (k Kind[T]) AppendAllowed(more string) Kind[T] { return k.WithAllowed(k.Allowed + more) }

// A Value is a variable of the program that users set by a name, such as that of an environment variable.
type Value struct {
	Name    string
	Default string // the text of the default; empty leaves the variable zero
	Type    string // the Type of its Kind
	Allowed string // the Allowed of its Kind
	// Set parses the text into the variable and reports whether the value is allowed. If it isn't, a number becomes zero.
	Set func(text string) bool
	// Text returns the value of the variable in the syntax of Set.
	Text func() string
}

// Bind returns a Value that sets a variable of the program by a name and a Kind.
func Bind[T any](name string, variable *T, fallback string, kind Kind[T]) Value {
	return Value{
		Name: name, Default: fallback, Type: kind.Type, Allowed: kind.Allowed,
		Set: func(text string) (ok bool) {
			*variable, ok = kind.Parse(text)
			return ok
		},
		Text: func() string { return Format(*variable) },
	}
}

// Format formats a value as users write it: durations without zero units at the end, lists with commas.
func Format(value any) string {
	switch value := value.(type) {
	case time.Duration:
		text := value.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	case []string:
		return strings.Join(value, ",")
	default:
		return fmt.Sprint(value)
	}
}

// Number returns the kind of whole numbers from low to high.
func Number[T ~int | ~int64](low, high T) Kind[T] {
	return Kind[T]{Type: "whole number", Allowed: fmt.Sprintf("a whole number from %d to %d", low, high),
		Parse: func(text string) (T, bool) {
			n, err := strconv.ParseInt(text, 10, 64)
			n, ok := within(n, err, int64(low), int64(high))
			return T(n), ok
		}}
}

// Duration returns the kind of durations from low to high.
func Duration(low, high time.Duration) Kind[time.Duration] {
	return Kind[time.Duration]{Type: "duration",
		Allowed: fmt.Sprintf("a duration from %s to %s", Format(low), Format(high)),
		Parse: func(text string) (time.Duration, bool) {
			d, err := time.ParseDuration(text)
			return within(d, err, low, high)
		}}
}

func within[T ~int | ~int64](n T, err error, low, high T) (T, bool) {
	if err != nil || n < low || n > high {
		return 0, false
	}
	return n, true
}

// Boolean returns the kind of the values true and false.
func Boolean() Kind[bool] {
	return Kind[bool]{Type: "boolean", Allowed: "true or false", Parse: func(text string) (bool, bool) {
		b, err := strconv.ParseBool(text)
		return b, err == nil
	}}
}

// OneOf returns the kind of the given words.
func OneOf[T ~string](words ...T) Kind[T] {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return Kind[T]{Type: "word", Allowed: JoinOr(texts), Words: texts,
		Parse: func(text string) (T, bool) { return T(text), slices.Contains(texts, text) }}
}

// JoinOr joins words as "a, b or c".
func JoinOr[T ~string](words []T) string {
	var list strings.Builder
	for i, word := range words {
		switch {
		case i > 0 && i == len(words)-1:
			list.WriteString(" or ")
		case i > 0:
			list.WriteString(", ")
		}
		list.WriteString(string(word))
	}
	return list.String()
}

// Text returns the kind of texts for which check returns true.
func Text(allowed string, check func(text string) bool) Kind[string] {
	return Kind[string]{Type: "text", Allowed: allowed,
		Parse: func(text string) (string, bool) { return text, check(text) }}
}

// Optional returns a kind whose variable is nil until a value of the given kind is set.
func Optional[T any](kind Kind[T]) Kind[*T] {
	return Kind[*T]{Type: kind.Type, Allowed: kind.Allowed, Words: kind.Words, Parse: func(text string) (*T, bool) {
		value, ok := kind.Parse(text)
		return &value, ok
	}}
}
