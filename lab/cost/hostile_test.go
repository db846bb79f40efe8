//go:build unix

package cost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// finite fails the test unless every number in the bill is finite.
func finite(t *testing.T, what string, b Bill) {
	t.Helper()
	if _, err := json.Marshal(b); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if !(b.Total >= 0 && b.Total < 1e100) {
		t.Errorf("%s: %g USD", what, b.Total)
	}
}

// The numbers of the bill are finite, whatever value a template has instead of a number.
func TestNumbersOfTemplatesAreBounded(t *testing.T) {
	e := estimator(t)
	values := []any{1e308, -1e308, "NaN", "Inf", "-Inf", "1e999", 0.0, -1.0, "0x1p1000", nil, true, []any{}, map[string]any{"Ref": "Nothing"}, "\x1b"}
	replaced := 0
	for _, name := range []string{"dynamodb", "dynamodb-provisioned", "valkey", "memcached", "postgres"} {
		path := filepath.Join("..", "..", "stacks", "testdata", name+".json")
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		for _, value := range values {
			var whole map[string]any
			must.Succeed(t, json.Unmarshal(text, &whole))
			replaced += replaceNumbers(whole["Resources"], value)
			spoiled, err := json.Marshal(whole)
			must.Succeed(t, err)
			file := filepath.Join(t.TempDir(), "a.template.json")
			must.Succeed(t, os.WriteFile(file, spoiled, 0o600))
			template, err := ReadTemplate(file, "a")
			if err != nil {
				continue
			}
			what := fmt.Sprintf("%s with %v", name, value)
			finite(t, what, e.Bill([]Template{template}, usual))
			for rate := float64(CurveFrom); rate <= CurveTo; rate *= 10 { // some of the points of a curve
				if usd := e.totalAt([]Template{template}, usual, rate); math.IsNaN(usd) || math.IsInf(usd, 0) {
					t.Fatalf("%s costs %v at %v requests per second", what, usd, rate)
				}
			}
		}
	}
	if replaced < 1000 {
		t.Errorf("only %d numbers were replaced", replaced)
	}
}

// replaceNumbers replaces every number, quoted or not, by the value and returns how many there were.
func replaceNumbers(in, value any) (n int) {
	isNumber := func(v any) bool {
		text, quoted := v.(string)
		_, plain := v.(float64)
		return plain || quoted && text != "" && strings.Trim(text, "0123456789.") == ""
	}
	switch in := in.(type) {
	case map[string]any:
		for _, key := range slices.Collect(maps.Keys(in)) {
			if isNumber(in[key]) {
				in[key] = value
				n++
			} else {
				n += replaceNumbers(in[key], value)
			}
		}
	case []any:
		for i := range in {
			if isNumber(in[i]) {
				in[i] = value
				n++
			} else {
				n += replaceNumbers(in[i], value)
			}
		}
	}
	return n
}

func TestTemplatesAreFilesOfBoundedLength(t *testing.T) {
	long := `{"Resources":{"A":{"Type":"` + strings.Repeat("a", maxFileBytes) + `"}}}`
	for want, spoil := range map[string]func(path string) error{
		"longer than":        func(path string) error { return os.WriteFile(path, []byte(long), 0o600) },
		"not a regular file": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"is not a template":  func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("[", 1<<20)), 0o600) },
	} {
		dir := t.TempDir()
		must.Succeed(t, spoil(filepath.Join(dir, "a.template.json")))
		if _, err := ReadAssembly(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestPricesAreBounded(t *testing.T) {
	head := strings.Join(priceColumns, ",") + "\n"
	for _, usd := range []string{"1e308", "1e7", "-1", "NaN", "Inf", "0x1p999"} {
		_, err := LoadPrices(strings.NewReader(head+"us-east-1,ipv4,hour,"+usd+",2026-11-21,x,verified\n"), "mine.csv")
		if err == nil || !strings.Contains(err.Error(), "column usd") {
			t.Errorf("%s USD: got the error %v, want one that names the column", usd, err)
		}
	}
	if _, err := LoadPrices(endless{}, "mine.csv"); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("an endless file: got the error %v, want one about its length", err)
	}
}

// endless is a reader that never reaches an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("a,b\n"), len(p)/4+1)), nil
}
