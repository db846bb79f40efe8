package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest/must"
)

var (
	start   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id      = session.ID{1, 2, 3, 31: 32}
	options = Options{Issuer: "https://shop.example", Audience: "shop"}
)

func newRecord(values map[string]string) session.Record { return sealingtest.NewRecord(start, values) }

func newCodec(t testing.TB, names string) *Codec {
	t.Helper()
	return must.Get(New(sealingtest.Keys(t, names), options))(t)
}

func seal(t testing.TB, s *Codec, record session.Record) string {
	t.Helper()
	return must.Get(s.Encode(id, record))(t)
}

func isMissing(t *testing.T, name string, s *Codec, value string) {
	t.Helper()
	gotID, got, err := s.Decode(value, start)
	if err != session.ErrNotFound || gotID != (session.ID{}) || got.Values != nil || got.User != "" {
		t.Errorf("%s: %.60q… (%d bytes): got %+v, %v, want ErrNotFound and nothing else", name, value, len(value), got, err)
	}
}

func TestEveryServerAcceptsAToken(t *testing.T) {
	signer, other := newCodec(t, "a"), newCodec(t, "a")
	value := rapid.Custom(func(t *rapid.T) string {
		kinds := []any{
			rapid.String().Draw(t, "text"), rapid.Int64().Draw(t, "number"), nil, true, []any{1, "<a>"}, map[string]any{"b": 1.5},
		}
		text := must.Get(json.Marshal(rapid.SampledFrom(kinds).Draw(t, "value")))(t)
		return string(text)
	})
	most := signer.Promises().MaxBytes
	rapid.Check(t, func(t *rapid.T) {
		want := session.Record{
			Values: rapid.MapOfN(rapid.StringN(1, 50, 128), value, 0, 30).Draw(t, "values"),
			User:   rapid.StringN(1, 40, -1).Draw(t, "user"), UserAgent: rapid.StringN(0, 200, 200).Draw(t, "agent"),
			Created: start.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "created"))),
			Expires: start.Add(1 + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "expires"))),
		}
		wantID := session.ID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		value, err := signer.Encode(wantID, want)
		if errors.Is(err, session.ErrTooLarge) && want.Size() > most/7 { // every byte may be escaped, and JSON adds punctuation
			return
		}
		if err != nil || len(value) > sealing.MaxValue {
			t.Fatalf("%d bytes: a token of %d, %v", want.Size(), len(value), err)
		}
		gotID, got, err := other.Decode(value, start)
		must.Succeed(t, err)
		if gotID != wantID || !maps.Equal(got.Values, want.Values) || got.User != want.User || got.UserAgent != want.UserAgent {
			t.Fatalf("got %v %+v, want %v %+v", gotID, got, wantID, want)
		}
		if early := want.Created.Sub(got.Created); early < 0 || early >= time.Second {
			t.Fatalf("got the start %v for %v", got.Created, want.Created)
		}
		for _, times := range [][2]time.Time{{got.Expires, want.Expires}, {got.IdleExpires, want.Expires}} {
			if late := times[0].Sub(times[1]); late < 0 || late >= time.Second {
				t.Fatalf("got time %v for %v", times[0], times[1])
			}
		}
	})
}

// TestClaims pins the claims of a token, which other programs may read.
func TestClaims(t *testing.T) {
	s := newCodec(t, "a")
	parts := strings.Split(seal(t, s, newRecord(map[string]string{"role": `"<clerk>"`, "shop": "7"})), ".")
	var got []string
	for _, part := range parts[:2] {
		text := must.Get(base64.RawURLEncoding.DecodeString(part))(t)
		got = append(got, string(text))
	}
	want := []string{
		fmt.Sprintf(`{"alg":"HS256","kid":%q}`, s.keys.Keys[0].KeyID),
		fmt.Sprintf(`{"iss":"https://shop.example","sub":"ada","aud":"shop","exp":%d,"nbf":%d,"iat":%d,"jti":%q,`+
			`"agent":"Browser/1.0","values":{"role":"<clerk>","shop":7}}`, start.Unix()+86400, start.Unix(), start.Unix(), id),
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	secret := base64.RawURLEncoding.EncodeToString(s.keys.Keys[0].Key.([]byte))
	if kid := s.keys.Keys[0].KeyID; strings.HasPrefix(secret, kid[:8]) {
		t.Errorf("the kid %s contains the key", kid)
	}
	if len(s.keys.Keys[0].KeyID) != 11 || s.keys.Keys[0].KeyID == newCodec(t, "b").keys.Keys[0].KeyID {
		t.Errorf("kid %q", s.keys.Keys[0].KeyID)
	}
}

func TestExpiry(t *testing.T) {
	s := newCodec(t, "a")
	value := seal(t, s, newRecord(nil))
	for after, live := range map[time.Duration]bool{
		-31 * time.Second: false, -30 * time.Second: true, 0: true, 2 * time.Hour: true, // there is no idle timeout
		24*time.Hour - 1: true, 24 * time.Hour: false, 24*time.Hour + time.Second: false, 1000 * time.Hour: false,
	} {
		if _, _, err := s.Decode(value, start.Add(after)); (err == nil) != live || !live && err != session.ErrNotFound {
			t.Errorf("after %v: %v, want live %v", after, err, live)
		}
	}
}

func TestRotation(t *testing.T) {
	sealingtest.RunRotation(t, func(names string) session.Codec { return newCodec(t, names) })
}

func TestOtherOptionsAreRejected(t *testing.T) {
	value := seal(t, newCodec(t, "a"), newRecord(nil))
	for _, other := range []Options{
		{Issuer: "https://shop.example", Audience: "bank"}, {Issuer: "https://bank.example", Audience: "shop"},
		{Issuer: "shop", Audience: "https://shop.example"}, {Audience: "shop"},
	} {
		s := must.Get(New(sealingtest.Keys(t, "a"), other))(t)
		isMissing(t, fmt.Sprint(other), s, value)
	}
}

func TestTooLarge(t *testing.T) {
	s := newCodec(t, "a")
	most := s.Promises().MaxBytes
	if most < 2500 {
		t.Errorf("%d bytes fit: the package says about 2.5 KB", most)
	}
	record := newRecord(map[string]string{"k": ""})
	fill := func(size int) session.Record {
		record.Values["k"] = `"` + strings.Repeat("x", size-len(record.User+record.UserAgent)-3) + `"`
		return record
	}
	if value := seal(t, s, fill(most-50)); len(value) > sealing.MaxValue { // "agent", "values" and their punctuation
		t.Errorf("a token of %d bytes", len(value))
	}
	for _, size := range []int{most + 1, most + 1000, 1 << 20} {
		if value, err := s.Encode(id, fill(size)); !errors.Is(err, session.ErrTooLarge) || value != "" {
			t.Errorf("%d bytes: a token of %d, %v, want ErrTooLarge", size, len(value), err)
		}
	}
}

func TestEncodeErrors(t *testing.T) {
	s := newCodec(t, "a")
	for _, value := range []string{"", "x", `{"a":`, "1 2"} {
		if sealed, err := s.Encode(id, newRecord(map[string]string{"k": value})); err == nil || sealed != "" {
			t.Errorf("Encode accepted the value %q, which is not JSON", value)
		}
	}
	record := newRecord(nil)
	record.User = "\xff"
	if _, err := s.Encode(id, record); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("a user that is not UTF-8: got %v, want an error", err)
	}
	record.User, record.UserAgent = "ada", "\xff"
	if _, got, err := s.Decode(seal(t, s, record), start); err != nil || got.UserAgent != "\ufffd" {
		t.Errorf("a user agent that is not UTF-8: %q, %v", got.UserAgent, err)
	}
}

func TestNewReportsBadOptions(t *testing.T) {
	tests := []struct {
		options Options
		says    string
	}{
		{Options{}, "Audience"}, {Options{Issuer: "i"}, "Audience"},
		{Options{Issuer: strings.Repeat("i", 201), Audience: "a"}, "Issuer"}, {Options{Issuer: "i", Audience: "\xff"}, "Audience"},
	}
	for _, test := range tests {
		_, err := New(sealingtest.Keys(t, "a"), test.options)
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "allowed are") {
			t.Errorf("%+v: %v, want a word of %s", test.options, err, test.says)
		}
	}
	if _, err := New(sealing.Keys{}, options); err == nil || !strings.Contains(err.Error(), "ParseKeys") {
		t.Errorf("no keys: %v", err)
	}
	if _, err := New(sealingtest.Keys(t, "a"), Options{Issuer: strings.Repeat("\x00", 200), Audience: strings.Repeat("\x00", 200)}); err != nil {
		t.Errorf("the longest options: %v", err)
	}
}

func TestPromises(t *testing.T) {
	got := newCodec(t, "a").Promises()
	got.MaxBytes = 0 // TestTooLarge
	if want := (session.Promises{Name: "token", Shared: true, ReadYourWrites: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
