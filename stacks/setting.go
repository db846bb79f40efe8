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
	"stateless-servers/app/config/allowed"
)

// A setting is one key of the context, bound to its field.
type setting struct {
	Key
	met func() bool // whether the key goes with the others, as Needs says; nil is always
}

// needing limits a setting to configurations in which met, as needs says. It asks of settings before it only.
func (s setting) needing(needs string, met func() bool) setting {
	s.Needs, s.met = needs, met
	return s
}

// of limits a setting to some stores.
func (s setting) of(stores ...config.StoreKind) setting {
	s.Stores = stores
	return s
}

func (s setting) isOf(store config.StoreKind) bool {
	return s.Stores == nil || slices.Contains(s.Stores, store)
}

// A Key is what the documentation says of one key of the context. A key that means something else with other stores is
// there once for each meaning.
type Key struct {
	allowed.Value
	Stores []config.StoreKind // those that the key is for; nil is any
	Needs  string             // what else it goes with, such as another=value; empty is anything
}

// storesOf are the stores that a key is for.
func storesOf(key string, settings []setting) (stores []config.StoreKind) {
	for _, s := range settings {
		if s.Name == key {
			stores = append(stores, s.Stores...)
		}
	}
	return stores
}

// first reports whether the setting at i is the first of its key.
func first(i int, settings []setting) bool {
	return !slices.ContainsFunc(settings[:i], func(s setting) bool { return s.Name == settings[i].Name })
}

func bind[T any](key string, field *T, fallback string, kind allowed.Kind[T]) setting {
	return setting{Key: Key{Value: allowed.Bind(key, field, fallback, kind)}}
}

// choice is a setting with a few values, the first of which is the default.
func choice[T ~string](key string, field *T, values ...T) setting {
	return bind(key, field, string(values[0]), allowed.OneOf(values...))
}

// boolean is a setting that is false by default.
func boolean(key string, field *bool) setting {
	return bind(key, field, "false", allowed.Boolean())
}

// dynamicReference begins what CloudFormation replaces in a template, such as {{resolve:secretsmanager:name}}, wherever it
// stands.
const dynamicReference = "{{"

// form is a setting that is text of a form. The text may reach a template as it is, so it never has a dynamic reference,
// whatever the form lets pass.
func form(key string, field *string, fallback string, form *regexp.Regexp, description string) setting {
	return bind(key, field, fallback, allowed.Text(description, func(text string) bool {
		return form.MatchString(text) && !strings.Contains(text, dynamicReference)
	}))
}

func number(key string, field *int, fallback, low, high int) setting {
	return bind(key, field, strconv.Itoa(fallback), allowed.Number(low, high))
}

// span is a setting that is a duration.
func span(key string, field *time.Duration, fallback, low, high time.Duration) setting {
	example := allowed.Format(fallback)
	return bind(key, field, example, allowed.Duration(low, high).And(", such as "+example))
}

// halves is a number in steps of 0.5.
func halves(key string, field *float64, fallback, low, high float64) setting {
	return bind(key, field, fmt.Sprint(fallback), allowed.Kind[float64]{Type: "number",
		Allowed: fmt.Sprintf("a number from %v to %v in steps of 0.5", low, high),
		Parse: func(text string) (float64, bool) {
			x, err := strconv.ParseFloat(text, 64)
			if err != nil || !(x >= low && x <= high) || x*2 != math.Trunc(x*2) {
				return 0, false
			}
			return x, true
		}})
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
