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

// A setting binds one key of the context to its field in the Config.
type setting struct {
	Key
	condition func() bool // reports whether the key is allowed, as Requires describes; nil means always
}

// onlyWith limits a setting to configurations for which condition returns true; requires describes them. The condition may
// depend on earlier settings only.
func (s setting) onlyWith(requires string, condition func() bool) setting {
	s.Requires, s.condition = requires, condition
	return s
}

// forStores limits a setting to some stores.
func (s setting) forStores(stores ...config.StoreKind) setting {
	s.Stores = stores
	return s
}

func (s setting) appliesTo(store config.StoreKind) bool {
	return s.Stores == nil || slices.Contains(s.Stores, store)
}

// A Key describes one key of the context for the documentation. A key that has different meanings for different stores has
// a Key for each meaning.
type Key struct {
	allowed.Value
	Stores   []config.StoreKind // the stores that the key is for; nil means all
	Requires string             // the setting that the key is only allowed with, such as another=value; empty means none
}

// storesOfKey returns the stores that a key is for.
func storesOfKey(key string, settings []setting) (stores []config.StoreKind) {
	for _, s := range settings {
		if s.Name == key {
			stores = append(stores, s.Stores...)
		}
	}
	return stores
}

// isFirstOfKey reports whether the setting at i is the first one with its key.
func isFirstOfKey(i int, settings []setting) bool {
	return !slices.ContainsFunc(settings[:i], func(s setting) bool { return s.Name == settings[i].Name })
}

func bind[T any](key string, field *T, fallback string, kind allowed.Kind[T]) setting {
	return setting{Key: Key{Value: allowed.Bind(key, field, fallback, kind)}}
}

// choice returns a setting that is one of some words. The first is the default.
func choice[T ~string](key string, field *T, values ...T) setting {
	return bind(key, field, string(values[0]), allowed.OneOf(values...))
}

// boolean returns a setting that is true or false. The default is false.
func boolean(key string, field *bool) setting {
	return bind(key, field, "false", allowed.Boolean())
}

// dynamicReference begins a dynamic reference, such as {{resolve:secretsmanager:name}}. CloudFormation replaces it anywhere
// in a template.
const dynamicReference = "{{"

// matching returns a setting that is text which matches a pattern.
func matching(key string, field *string, fallback string, pattern *regexp.Regexp, description string) setting {
	return allowedText(key, field, fallback, description, pattern.MatchString)
}

// allowedText returns a setting that is text for which isAllowed returns true. It refuses dynamic references in any case,
// because the text may be copied into a template.
func allowedText(key string, field *string, fallback, description string, isAllowed func(string) bool) setting {
	return bind(key, field, fallback, allowed.Text(description, func(text string) bool {
		return isAllowed(text) && !strings.Contains(text, dynamicReference)
	}))
}

// number returns a setting that is a whole number from low to high.
func number(key string, field *int, fallback, low, high int) setting {
	return bind(key, field, strconv.Itoa(fallback), allowed.Number(low, high))
}

// durationBetween returns a setting that is a duration from low to high.
func durationBetween(key string, field *time.Duration, fallback, low, high time.Duration) setting {
	example := allowed.Format(fallback)
	return bind(key, field, example, allowed.Duration(low, high).AppendAllowed(", such as "+example))
}

// halfSteps returns a setting that is a number from low to high in steps of 0.5.
func halfSteps(key string, field *float64, fallback, low, high float64) setting {
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

// contextText returns a value of the context as a user would write it after -c.
func contextText(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(encoded)
}
