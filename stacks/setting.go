package stacks

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"stateless-servers/app/config"
)

// A setting is one key of the context.
type setting struct {
	key      string
	kind     string // what the documentation calls the type
	fallback string // the value of a key that isn't given; "" leaves the field empty
	allowed  string
	set      func(value string) bool // false when the value isn't allowed
	stores   []config.Store          // those that the key is for; nil is any
	needs    string                  // what else the key goes with, such as another=value; "" is anything
	met      func() bool
}

// needing limits a setting to configurations in which met, as needs says. It asks of settings before it only.
func (s setting) needing(needs string, met func() bool) setting {
	s.needs, s.met = needs, met
	return s
}

// of limits a setting to some stores.
func (s setting) of(stores ...config.Store) setting {
	s.stores = stores
	return s
}

func (s setting) isOf(store config.Store) bool {
	return s.stores == nil || slices.Contains(s.stores, store)
}

// A Key is what the documentation says of one key of the context. A key that means something else with other stores is
// there once for each meaning.
type Key struct {
	Name, Type, Default, Allowed string         // Default is empty where there is none
	Stores                       []config.Store // those that the key is for; nil is any
	Needs                        string         // what else it goes with, such as another=value; empty is anything
}

// Keys lists every key, in the order in which Config has them.
func Keys() []Key {
	var c Config
	var keys []Key
	for _, s := range c.settings() {
		keys = append(keys, Key{s.key, s.kind, s.fallback, s.allowed, s.stores, s.needs})
	}
	return keys
}

// storesOf are the stores that a key is for.
func storesOf(key string, settings []setting) (stores []config.Store) {
	for _, s := range settings {
		if s.key == key {
			stores = append(stores, s.stores...)
		}
	}
	return stores
}

// first tells whether the setting at i is the first of its key.
func first(i int, settings []setting) bool {
	return !slices.ContainsFunc(settings[:i], func(s setting) bool { return s.key == settings[i].key })
}

// choice is a setting with a few values, the first of which is the default.
func choice[T ~string](key string, field *T, values ...T) setting {
	return setting{key: key, kind: "word", fallback: string(values[0]), allowed: names(values),
		set: func(value string) bool {
			*field = T(value)
			return slices.Contains(values, T(value))
		}}
}

// names lists values as "a, b or c".
func names[T ~string](values []T) string {
	var list strings.Builder
	for i, v := range values {
		switch {
		case i > 0 && i == len(values)-1:
			list.WriteString(" or ")
		case i > 0:
			list.WriteString(", ")
		}
		list.WriteString(string(v))
	}
	return list.String()
}

// boolean is a setting that is false by default.
func boolean(key string, field *bool) setting {
	return setting{key: key, kind: "boolean", fallback: "false", allowed: "true or false",
		set: func(value string) bool {
			*field = value == "true"
			return value == "true" || value == "false"
		}}
}

// dynamicReference begins what CloudFormation replaces in a template, such as {{resolve:secretsmanager:name}}, wherever it
// stands.
const dynamicReference = "{{"

// form is a setting that is text of a form. The text may reach a template as it is, so it never has a dynamic reference,
// whatever the form lets pass.
func form(key string, field *string, fallback string, form *regexp.Regexp, allowed string) setting {
	return setting{key: key, kind: "text", fallback: fallback, allowed: allowed,
		set: func(value string) bool {
			*field = value
			return form.MatchString(value) && !strings.Contains(value, dynamicReference)
		}}
}

// number leaves the field at zero when the value isn't allowed.
func number(key string, field *int, fallback, low, high int) setting {
	allowed := fmt.Sprintf("a whole number from %d to %d", low, high)
	return setting{key: key, kind: "whole number", fallback: strconv.Itoa(fallback), allowed: allowed,
		set: func(value string) bool {
			n, err := strconv.Atoi(value)
			if err != nil || n < low || n > high {
				return false
			}
			*field = n
			return true
		}}
}

// span is a setting that is a duration.
func span(key string, field *time.Duration, fallback, low, high time.Duration) setting {
	allowed := fmt.Sprintf("a duration from %v to %v, such as %v", low, high, fallback)
	return setting{key: key, kind: "duration", fallback: fallback.String(), allowed: allowed,
		set: func(value string) bool {
			d, err := time.ParseDuration(value)
			if err != nil || d < low || d > high {
				return false
			}
			*field = d
			return true
		}}
}

// halves is a number in steps of 0.5.
func halves(key string, field *float64, fallback, low, high float64) setting {
	allowed := fmt.Sprintf("a number from %v to %v in steps of 0.5", low, high)
	return setting{key: key, kind: "number", fallback: fmt.Sprint(fallback), allowed: allowed,
		set: func(value string) bool {
			x, err := strconv.ParseFloat(value, 64)
			if err != nil || !(x >= low && x <= high) || x*2 != math.Trunc(x*2) {
				return false
			}
			*field = x
			return true
		}}
}

// text is a context value as somebody would type it after -c.
func text(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(encoded)
}
