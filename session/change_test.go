package session

import (
	"errors"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func anyChange(t *rapid.T) Change {
	c := Change{
		Op:    rapid.SampledFrom([]Op{OpSet, OpRemove, OpAdd}).Draw(t, "op"),
		Key:   rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"),
		Value: rapid.SampledFrom([]string{`"x"`, "1", "-0", "9007199254740991", "1.5"}).Draw(t, "value"),
		N:     rapid.OneOf(rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{MaxCounter, -MaxCounter, MaxCounter + 1})).Draw(t, "n"),
	}
	if c.Op == OpRemove {
		c.Value = "" // a conditional removal is never recorded
	}
	return c
}

// The recorded changes have at most one change per key, and the same effect as the original sequence.
func TestMergedChangesHaveTheSameEffect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := map[string]string{"a": "1", "b": `"text"`}
		want, wantErr := maps.Clone(start), error(nil)
		var recorded []Change
		var recordErr error
		for _, c := range rapid.SliceOfN(rapid.Custom(anyChange), 0, 8).Draw(t, "changes") {
			if recorded, recordErr = appendChange(recorded, c); recordErr != nil {
				// The sum leaves the range of a counter, or the key has no counter.
				if c.Op != OpAdd || !errors.Is(recordErr, ErrCounter) {
					t.Fatalf("%+v was refused: %v", c, recordErr)
				}
				return
			}
			if wantErr == nil {
				want, wantErr = Apply(want, []Change{c})
			}
		}
		seen := map[string]bool{}
		for _, c := range recorded {
			if seen[c.Key] {
				t.Fatalf("two changes of %q: %+v", c.Key, recorded)
			}
			seen[c.Key] = true
		}
		got, err := Apply(start, recorded)
		if wantErr == nil && (err != nil || !maps.Equal(got, want)) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
		if err != nil && !errors.Is(err, ErrCounter) {
			t.Fatal(err)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add(string(newToken([tokenBytes]byte{1})))
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB")
	f.Fuzz(func(t *testing.T, value string) {
		token, ok := parseToken(value)
		if !ok {
			return
		}
		if len(value) != tokenLength || string(token) != value {
			t.Fatalf("%q was parsed as the token %q", value, token)
		}
		id, ok := ParseID(value)
		if !ok || id.String() != value {
			t.Fatalf("%q has more than one spelling: %q", value, id)
		}
	})
}
