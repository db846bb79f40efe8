package cookie

import (
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest/must"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	id    = session.ID{1, 2, 3, 31: 32}
)

// sealed is newRecord(theme dark), sealed for the name "session" with the key "a" of sealingtest.Keys.
const sealed = "AYtpbT1rbt98ljbXDJH8xjEm_GTLrVQQMlZ6ZA3UhUd0Q4yssLBmgP63Cs6wYblYNsstoDd1gj2qYyyMj5jBXvNUsWb36jbd6Z4S" +
	"L9qJI5cpHR9vXHkTqZSbSU8yACO_3TtcssSFIEcnfdAxBU9CJQdYIU-Pq3Tu-4_vOZN1"

func newRecord(values map[string]string) session.Record { return sealingtest.NewRecord(start, values) }

func newCodec(t testing.TB, names, name string) *Codec {
	t.Helper()
	return must.Get(New(sealingtest.Keys(t, names), name))(t)
}

func seal(t testing.TB, s *Codec, record session.Record) string {
	t.Helper()
	return must.Get(s.Encode(id, record))(t)
}

func isMissing(t *testing.T, s *Codec, value string) {
	t.Helper()
	gotID, got, err := s.Decode(value, start)
	if err != session.ErrNotFound || gotID != (session.ID{}) || got.Values != nil || got.User != "" {
		t.Errorf("%.60q… (%d bytes): got %v, %v, want ErrNotFound and nothing else", value, len(value), got, err)
	}
}

func TestEveryServerOpensACookie(t *testing.T) {
	codec, other := newCodec(t, "a", "session"), newCodec(t, "a", "session")
	text := rapid.OneOf(rapid.StringN(1, 300, -1), rapid.StringN(1, 3, -1))
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.Int64Range(0, int64(time.Hour))
		want := session.Record{
			Values:      rapid.MapOfN(text, text, 0, 60).Draw(t, "values"),
			User:        rapid.StringN(0, 40, -1).Draw(t, "user"),
			UserAgent:   string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "agent")),
			Created:     start.Add(-time.Duration(offset.Draw(t, "created"))),
			Expires:     start.Add(1 + time.Duration(offset.Draw(t, "expires"))),
			IdleExpires: start.Add(1 + time.Duration(offset.Draw(t, "idle"))),
		}
		wantID := session.ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		value, err := codec.Encode(wantID, want)
		if want.Size() > codec.Promises().MaxBytes {
			if !errors.Is(err, session.ErrTooLarge) {
				t.Fatalf("%d bytes: %v", want.Size(), err)
			}
			return
		}
		if err != nil || len(value) > sealing.MaxValue {
			t.Fatalf("%d bytes: a cookie of %d, %v", want.Size(), len(value), err)
		}
		gotID, got, err := other.Decode(value, start)
		must.Succeed(t, err)
		if gotID != wantID || !maps.Equal(got.Values, want.Values) || got.User != want.User || got.UserAgent != want.UserAgent {
			t.Fatalf("got %v %+v, want %v %+v", gotID, got, wantID, want)
		}
		for _, times := range [][2]time.Time{
			{got.Created, want.Created}, {got.Expires, want.Expires}, {got.IdleExpires, want.IdleExpires},
		} {
			if late := times[0].Sub(times[1]); late < 0 || late >= time.Millisecond {
				t.Fatalf("got time %v for %v", times[0], times[1])
			}
		}
	})
}

func TestLimitDependsOnlyOnSize(t *testing.T) {
	s := newCodec(t, "a", "session")
	most := s.Promises().MaxBytes
	small := map[string]string{} // many keys with small values
	for size, i := 0, 0; ; i++ {
		key := string(rune(i + 1))
		if size += len(key) + 1; size > most {
			break
		}
		small[key] = "7"
	}
	tests := map[string]session.Record{
		"nothing":     {},
		"one value":   {Values: map[string]string{"filler": ""}},
		"many keys":   {Values: small},
		"a long user": {User: strings.Repeat("u", 1000), Values: map[string]string{"filler": ""}},
		"long keys":   {Values: map[string]string{strings.Repeat("k", 128): "1", strings.Repeat("l", 128): "1", "filler": ""}},
	}
	for name, record := range tests {
		t.Run(name, func(t *testing.T) {
			record.Expires, record.IdleExpires = start.Add(time.Hour), start.Add(time.Hour)
			record.UserAgent = strings.Repeat("b", min(200, most-record.Size()))
			if _, ok := record.Values["filler"]; ok {
				record.Values["filler"] = strings.Repeat("x", most-record.Size())
			}
			value := seal(t, s, record)
			if len(value) > sealing.MaxValue || record.Size() == most && len(value) < sealing.MaxValue*8/9 {
				t.Errorf("%d bytes make a cookie of %d, allowed are %d", record.Size(), len(value), sealing.MaxValue)
			}
			if _, got, err := s.Decode(value, start); err != nil || !maps.Equal(got.Values, record.Values) {
				t.Errorf("got %v", err)
			}
			record.User += strings.Repeat("u", most-record.Size()+1)
			if _, err := s.Encode(id, record); !errors.Is(err, session.ErrTooLarge) {
				t.Errorf("%d bytes: %v, want ErrTooLarge", record.Size(), err)
			}
		})
	}
	if most < 2500 {
		t.Errorf("%d bytes fit: the package says about 2.5 KB", most)
	}
}

func TestRotation(t *testing.T) {
	sealingtest.RunRotation(t, func(names string) session.Codec { return newCodec(t, names, "session") })
}

func TestExpiry(t *testing.T) {
	s := newCodec(t, "a", "session")
	record := newRecord(nil)
	idle := seal(t, s, record)
	record.IdleExpires = record.Expires.Add(time.Minute)
	absolute := seal(t, s, record)
	tests := []struct {
		value string
		after time.Duration
		live  bool
	}{
		{idle, 0, true}, {idle, 30*time.Minute - 1, true}, {idle, 30 * time.Minute, false}, {idle, 1000 * time.Hour, false},
		{absolute, 24*time.Hour - 1, true}, {absolute, 24 * time.Hour, false},
	}
	for i, test := range tests {
		_, _, err := s.Decode(test.value, start.Add(test.after))
		if (err == nil) != test.live || !test.live && err != session.ErrNotFound {
			t.Errorf("%d: after %v: %v, want live %v", i, test.after, err, test.live)
		}
	}
}

func TestOlderServerKeepsKeysOfANewerOne(t *testing.T) {
	newer, older := newCodec(t, "a", "session"), newCodec(t, "a", "session")
	_, got, err := older.Decode(seal(t, newer, newRecord(map[string]string{"@region": "eu", "visits": "1"})), start)
	must.Succeed(t, err)
	got.Values, err = session.Apply(got.Values, []session.Change{{Op: session.OpAdd, Key: "visits", N: 1}})
	must.Succeed(t, err)
	_, got, err = newer.Decode(seal(t, older, got), start)
	if want := (map[string]string{"@region": "eu", "visits": "2"}); err != nil || !maps.Equal(got.Values, want) {
		t.Errorf("got %v, %v, want %v", got.Values, err, want)
	}
}

// TestFormat pins the format of this version. A change of the format needs a new version.
func TestFormat(t *testing.T) {
	plain := must.Get(encode(id, newRecord(map[string]string{"theme": `"dark"`})))(t)
	const want = "0102030000000000000000000000000000000000000000000000000000000020" +
		"0000019b7ca98f2e" + "0000019b81cfeb2e" + "0000019b7cc5066e" + "03616461" + "0b42726f777365722f312e30" +
		"1004" + "7468656d65" + "226461726b22"
	if got := hex.EncodeToString(plain); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, got, err := newCodec(t, "a", "session").Decode(sealed, start); err != nil || got.Values["theme"] != `"dark"` {
		t.Errorf("decode of a cookie of this version: got %+v, %v", got, err)
	}
}

func TestEncodeRejectsEmptyValues(t *testing.T) {
	s := newCodec(t, "a", "session")
	for _, values := range []map[string]string{{"": "1"}, {"k": ""}} {
		if value, err := s.Encode(id, newRecord(values)); err == nil || value != "" {
			t.Errorf("Encode accepted values %q, want an error", values)
		}
	}
}

func TestEveryEncodingHasANewNonce(t *testing.T) {
	s := newCodec(t, "a", "session")
	var mu sync.Mutex
	seen := map[string]bool{}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 50 {
				value, err := s.Encode(id, newRecord(nil))
				_, _, opened := s.Decode(value, start)
				mu.Lock()
				if seen[value] || err != nil || opened != nil {
					t.Errorf("%s: %v, %v, seen before: %v", value, err, opened, seen[value])
				}
				seen[value] = true
				mu.Unlock()
			}
		})
	}
	wait.Wait()
}

func TestNewReportsBadOptions(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("n", 61)} {
		if _, err := New(sealingtest.Keys(t, "a"), name); err == nil || !strings.Contains(err.Error(), "allowed are 1 to 60 bytes") {
			t.Errorf("name of %d bytes: %v", len(name), err)
		}
	}
	if _, err := New(sealing.Keys{}, "session"); err == nil || !strings.Contains(err.Error(), "ParseKeys") {
		t.Errorf("no keys: %v", err)
	}
}

func TestPromises(t *testing.T) {
	want := session.Promises{Name: "cookie", Shared: true, Mutable: true, MaxBytes: 2555}
	if got := newCodec(t, "a", "session").Promises(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
