package token

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest/must"
)

func TestOnlySignedTokensAreAccepted(t *testing.T) {
	s := newCodec(t, "ab")
	value := seal(t, s, newRecord(map[string]string{"role": `"clerk"`}))
	if _, _, err := s.Decode(value, start); err != nil {
		t.Fatal(err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range value {
		isMissing(t, "cut", s, value[:i])
		if at := strings.IndexByte(alphabet, value[i]); at >= 0 {
			for _, bits := range []int{1, 2, 4, 8, 16, 32} {
				isMissing(t, "flipped", s, value[:i]+string(alphabet[at^bits])+value[i+1:])
			}
		}
		for _, added := range []string{"A", "\n", "\r", "=", " ", "."} {
			isMissing(t, "inserted", s, value[:i]+added+value[i:])
		}
	}
	isMissing(t, "extended", s, value+"A")
	isMissing(t, "oversized", s, value+strings.Repeat("A", 1<<20))
	isMissing(t, "nested", s, base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte("["), 2900))+"..")
	parts := strings.Split(value, ".")
	payload := must.Get(base64.RawURLEncoding.DecodeString(parts[1]))(t)
	for from, to := range map[string]string{`"sub":"ada"`: `"sub":"eve"`, `"clerk"`: `"owner"`, `"aud":"shop"`: `"aud":"bank"`} {
		tampered := bytes.Replace(payload, []byte(from), []byte(to), 1)
		if bytes.Equal(tampered, payload) {
			t.Fatalf("no %s in %s", from, payload)
		}
		isMissing(t, to, s, parts[0]+"."+base64.RawURLEncoding.EncodeToString(tampered)+"."+parts[2])
	}
}

// sign builds a token by hand.
func sign(header, payload string, mac func(text []byte) []byte) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac([]byte(text)))
}

func hs256(key []byte) func([]byte) []byte {
	return func(text []byte) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write(text)
		return mac.Sum(nil)
	}
}

// payload returns the claims of a valid token with some replaced. A claim replaced by nil is removed.
func payload(replaced map[string]any) string {
	claims := map[string]any{
		"iss": options.Issuer, "aud": options.Audience, "sub": "ada", "jti": id.String(),
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Unix() + 3600,
	}
	for claim, value := range replaced {
		claims[claim] = value
		if value == nil {
			delete(claims, claim)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestAlgorithmsAndKeys(t *testing.T) {
	s := newCodec(t, "ab")
	secret, kid := s.keys.Keys[0].Key.([]byte), s.keys.Keys[0].KeyID
	header := func(alg, kid string) string { return fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, kid) }
	good := sign(header("HS256", kid), payload(nil), hs256(secret))
	if _, got, err := s.Decode(good, start); err != nil || got.User != "ada" {
		t.Fatalf("a token made by hand: %+v, %v", got, err)
	}

	none := func([]byte) []byte { return nil }
	public, private, err := ed25519.GenerateKey(nil)
	must.Succeed(t, err)
	eddsa := func(text []byte) []byte { return ed25519.Sign(private, text) }
	hs512 := func(text []byte) []byte {
		mac := hmac.New(sha512.New, secret)
		mac.Write(text)
		return mac.Sum(nil)
	}
	embedded, err := (&jose.JSONWebKey{Key: public, KeyID: kid}).MarshalJSON()
	must.Succeed(t, err)
	tests := []struct{ name, token string }{
		{"none, unsigned", sign(header("none", kid), payload(nil), none)},
		{"None, unsigned", sign(header("None", kid), payload(nil), none)},
		{"none, signed", sign(header("none", kid), payload(nil), hs256(secret))},
		{"HS256, unsigned", sign(header("HS256", kid), payload(nil), none)},
		{"HS256, signed by EdDSA", sign(header("HS256", kid), payload(nil), eddsa)},
		{"EdDSA", sign(header("EdDSA", kid), payload(nil), eddsa)},
		{"EdDSA, signed by HMAC", sign(header("EdDSA", kid), payload(nil), hs256(secret))},
		{"HS256 with a public key", sign(header("HS256", kid), payload(nil), hs256(public))},
		{"a key of its own", sign(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"jwk":%s}`, kid, embedded), payload(nil), eddsa)},
		{"HS512 with the key", sign(header("HS512", kid), payload(nil), hs512)},
		{"hs256", sign(header("hs256", kid), payload(nil), hs256(secret))},
		{"no algorithm", sign(fmt.Sprintf(`{"kid":%q}`, kid), payload(nil), hs256(secret))},
		{"another key", sign(header("HS256", kid), payload(nil), hs256(bytes.Repeat([]byte("x"), 32)))},
		{"an empty key", sign(header("HS256", kid), payload(nil), hs256(nil))},
		{"the name of the second key", sign(header("HS256", s.keys.Keys[1].KeyID), payload(nil), hs256(secret))},
		{"the key itself, not what is derived", sign(header("HS256", kid), payload(nil), hs256(bytes.Repeat([]byte("a"), 32)))},
		{"an unknown kid", sign(header("HS256", "unknown"), payload(nil), hs256(secret))},
		{"an empty kid", sign(header("HS256", ""), payload(nil), hs256(secret))},
		{"no kid", sign(`{"alg":"HS256"}`, payload(nil), hs256(secret))},
		{"kid of another type", sign(`{"alg":"HS256","kid":7}`, payload(nil), hs256(secret))},
		{"an unknown critical extension",
			sign(fmt.Sprintf(`{"alg":"HS256","crit":["x"],"kid":%q,"x":1}`, kid), payload(nil), hs256(secret))},
		{"no header", sign("", payload(nil), hs256(secret))},
		{"no payload", sign(header("HS256", kid), "", hs256(secret))},
		{"a payload of another form", sign(header("HS256", kid), `["ada"]`, hs256(secret))},
		{"another spelling of the header", sign(fmt.Sprintf(`{"kid":%q, "alg":"HS256"}`, kid), payload(nil), hs256(secret))},
		{"JSON serialization", `{"payload":"` + strings.Split(good, ".")[1] + `","signatures":[]}`},
	}
	for _, test := range tests {
		isMissing(t, test.name, s, test.token)
	}
	for _, algorithm := range []string{"none", "None", "EdDSA", "RS256", "ES256", "PS256", "HS384", "HS512", "hs256", ""} {
		var refused *jose.ErrUnexpectedSignatureAlgorithm // before any key is used
		if _, err := s.verify(sign(header(algorithm, kid), payload(nil), hs256(secret)), start); !errors.As(err, &refused) {
			t.Errorf("%q: %v", algorithm, err)
		}
	}
}

// TestLongValuesAreNotDecoded checks that long values are rejected even if they are signed with the key.
func TestLongValuesAreNotDecoded(t *testing.T) {
	s := newCodec(t, "a")
	header := fmt.Sprintf(`{"alg":"HS256","kid":%q}`, s.keys.Keys[0].KeyID)
	longest := 0
	for agent := 2500; agent < 2900; agent++ {
		token := sign(header, payload(map[string]any{"agent": strings.Repeat("x", agent)}), hs256(s.keys.Keys[0].Key.([]byte)))
		_, _, err := s.Decode(token, start)
		if fits := len(token) <= sealing.MaxValue; fits != (err == nil) {
			t.Fatalf("%d bytes: %v", len(token), err)
		} else if fits {
			longest = len(token)
		}
	}
	if longest < sealing.MaxValue-2 {
		t.Errorf("the longest accepted token has %d bytes", longest)
	}
}

func TestClaimsAreChecked(t *testing.T) {
	s := newCodec(t, "a")
	header := fmt.Sprintf(`{"alg":"HS256","kid":%q}`, s.keys.Keys[0].KeyID)
	now := start.Unix()
	tests := []struct {
		claim string
		value any
		good  bool
	}{
		{"iss", "https://shop.example", true}, {"iss", "https://bank.example", false}, {"iss", "", false}, {"iss", nil, false},
		{"aud", []string{"shop", "bank"}, true}, {"aud", "bank", false}, {"aud", []string{}, false}, {"aud", nil, false},
		{"exp", now + 1, true}, {"exp", now, false}, {"exp", now - 1, false}, {"exp", now - 86400, false}, {"exp", 0, false},
		{"exp", 1e300, false}, {"exp", "tomorrow", false}, {"exp", nil, false},
		{"nbf", now - 86400, true}, {"nbf", now + 30, true}, {"nbf", now + 31, false}, {"nbf", nil, false},
		{"iat", now - 86400, true}, {"iat", now + 30, true}, {"iat", now + 31, false}, {"iat", nil, false},
		{"jti", id.String(), true}, {"jti", "1", false}, {"jti", id.String() + "A", false}, {"jti", nil, false},
		{"values", map[string]any{"role": "clerk"}, true}, {"values", "clerk", false},
		{"future", map[string]any{"of": "newer servers"}, true},
	}
	for _, test := range tests {
		token := sign(header, payload(map[string]any{test.claim: test.value}), hs256(s.keys.Keys[0].Key.([]byte)))
		if test.good {
			if gotID, got, err := s.Decode(token, start); err != nil || got.User != "ada" || gotID != id {
				t.Errorf("%s %v: got %+v, %v", test.claim, test.value, got, err)
			}
			continue
		}
		isMissing(t, fmt.Sprint(test.claim, " ", test.value), s, token)
	}
}

// FuzzDecode passes arbitrary values to Decode, and signed tokens with arbitrary payloads.
func FuzzDecode(f *testing.F) {
	s := newCodec(f, "a")
	sealed := seal(f, s, newRecord(map[string]string{"role": `"clerk"`}))
	header, key := fmt.Sprintf(`{"alg":"HS256","kid":%q}`, s.keys.Keys[0].KeyID), s.keys.Keys[0].Key.([]byte)
	f.Add(sealed, payload(nil))
	f.Add(strings.Replace(sealed, ".", "..", 1), payload(map[string]any{"values": map[string]any{"a": 1}}))
	f.Fuzz(func(t *testing.T, value, payload string) {
		if value != sealed {
			isMissing(t, "forged", s, value)
		}
		_, record, err := s.Decode(sign(header, payload, hs256(key)), start)
		if err != nil {
			if err != session.ErrNotFound {
				t.Fatal(err)
			}
			return
		}
		if !record.Live(start) {
			t.Fatalf("an expired session was returned: %+v", record)
		}
		if _, err := s.Encode(id, record); err != nil && !errors.Is(err, session.ErrTooLarge) {
			t.Fatalf("%+v was decoded but can't be encoded: %v", record, err)
		}
	})
}
