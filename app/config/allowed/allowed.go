// Package allowed defines kinds of values that people give by environment variables, keys and flags: how their text is
// parsed, and what is allowed, in words that serve documentation and error messages alike.
package allowed

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Kind is a set of values.
type Kind[T any] struct {
	Type    string                               // what documentation calls it, such as "duration"
	Allowed string                               // such as "a duration from 1s to 1h"
	Words   []string                             // all values of the kind, where they are a few words
	Parse   func(text string) (value T, ok bool) // not ok when the value isn't allowed
}

// But returns the kind with other words about what is allowed.
func (k Kind[T]) But(allowed string) Kind[T] {
	k.Allowed = allowed
	return k
}

// And returns the kind with more words about what is allowed.
func (k Kind[T]) And(more string) Kind[T] { return k.But(k.Allowed + more) }

// A Value is a variable of the program with a name outside of it.
type Value struct {
	Name    string
	Default string // the text of the value when nobody gives one; empty leaves the variable zero
	Type    string // as of its Kind
	Allowed string // as of its Kind
	// Set parses a text into the variable and reports whether the value is allowed. A number that isn't becomes zero.
	Set func(text string) bool
	// Text returns the value of the variable in the form that Set takes.
	Text func() string
}

// Bind gives a variable of the program a name and a Kind.
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

// Format writes a value as people do: durations without zeros at the end, lists with commas.
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

// Number is a whole number from low to high.
func Number[T ~int | ~int64](low, high T) Kind[T] {
	return Kind[T]{Type: "whole number", Allowed: fmt.Sprintf("a whole number from %d to %d", low, high),
		Parse: func(text string) (T, bool) {
			n, err := strconv.ParseInt(text, 10, 64)
			n, ok := within(n, err, int64(low), int64(high))
			return T(n), ok
		}}
}

// Duration is a duration from low to high.
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

// Boolean is true or false.
func Boolean() Kind[bool] {
	return Kind[bool]{Type: "boolean", Allowed: "true or false", Parse: func(text string) (bool, bool) {
		b, err := strconv.ParseBool(text)
		return b, err == nil
	}}
}

// OneOf returns the kind of a value that must be one of the words.
func OneOf[T ~string](words ...T) Kind[T] {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return Kind[T]{Type: "word", Allowed: Or(texts), Words: texts,
		Parse: func(text string) (T, bool) { return T(text), slices.Contains(texts, text) }}
}

// Or lists words as "a, b or c".
func Or[T ~string](words []T) string {
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

// Text is text that a check lets pass.
func Text(allowed string, check func(text string) bool) Kind[string] {
	return Kind[string]{Type: "text", Allowed: allowed,
		Parse: func(text string) (string, bool) { return text, check(text) }}
}

// Optional is a value of a kind, or nil when nobody gives one.
func Optional[T any](kind Kind[T]) Kind[*T] {
	return Kind[*T]{Type: kind.Type, Allowed: kind.Allowed, Words: kind.Words, Parse: func(text string) (*T, bool) {
		value, ok := kind.Parse(text)
		return &value, ok
	}}
}
