package load

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"stateless-servers/lab/check"
)

// Bounds of a Result in a file, which may be untrusted. They are far beyond those of a real Run.
const (
	maxNumber = 1e15 // of any number, so that sums don't overflow
	maxText   = 1 << 20
	maxItems  = 100_000 // of a list
	maxKeys   = 1000    // of a map, such as servers
	maxDigits = 3       // significant digits of a histogram, which determine its size
)

// checkBounds returns an error for a value that no Run could have written, with its name in the JSON.
func (r Result) checkBounds() error {
	if err := checkBoundsAt(reflect.ValueOf(r), ""); err != nil {
		return err
	}
	if len(r.Series) > maxMergedSpans {
		return fmt.Errorf("series has %d items: allowed are %d at most", len(r.Series), maxMergedSpans)
	}
	for kind := range r.Operations {
		if !slices.Contains(kinds(), check.Kind(kind)) {
			return fmt.Errorf("operations has %.40q: allowed are %v", kind, kinds())
		}
	}
	servers := map[string]bool{}
	for i, span := range r.Series {
		if i > 0 && span.T <= r.Series[i-1].T {
			return fmt.Errorf("series[%d].t is %g: allowed is more than that of the span before, %g", i, span.T, r.Series[i-1].T)
		}
		for name := range span.Servers {
			servers[name] = true
		}
	}
	if len(servers) > maxKeys {
		return fmt.Errorf("series has %d servers: allowed are %d at most", len(servers), maxKeys)
	}
	return nil
}

// checkBoundsAt checks every number, text, list and map in v. Where is the name of v in the JSON.
func checkBoundsAt(v reflect.Value, where string) error {
	outOfBounds := func(value any) error {
		return fmt.Errorf("%s is %v: allowed is a number from 0 to %g", where, value, float64(maxNumber))
	}
	tooLong := func(what string, limit int) error {
		return fmt.Errorf("%s has %d %s: allowed are %d at most", where, v.Len(), what, limit)
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		if n := v.Int(); n < 0 || n > maxNumber {
			return outOfBounds(n)
		}
	case reflect.Float64:
		if x := v.Float(); !(x >= 0 && x <= maxNumber) {
			return outOfBounds(x)
		}
	case reflect.Bool:
	case reflect.String:
		if v.Len() > maxText {
			return tooLong("bytes", maxText)
		}
	case reflect.Slice:
		if v.Len() > maxItems {
			return tooLong("items", maxItems)
		}
		for i := range v.Len() {
			if err := checkBoundsAt(v.Index(i), fmt.Sprintf("%s[%d]", where, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		if v.Len() > maxKeys {
			return tooLong("keys", maxKeys)
		}
		for _, key := range v.MapKeys() {
			if err := checkBoundsAt(v.MapIndex(key), fmt.Sprintf("%s[%.40q]", where, key)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return nil // Merge compares times
		}
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if err := checkBoundsAt(v.Field(i), strings.TrimPrefix(where+"."+name, ".")); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%s is of a kind without bounds, %v", where, v.Kind())
	}
	return nil
}
