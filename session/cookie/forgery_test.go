package cookie

import (
	"bytes"
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest/must"
)

func TestOnlySealedCookiesAreAccepted(t *testing.T) {
	s := newCodec(t, "ab", "session")
	value := seal(t, s, newRecord(map[string]string{"theme": `"dark"`}))
	for range 100 { // until the value differs in the other base64 alphabet, as 99 of 100 values do
		if strings.ContainsAny(value, "-_") {
			break
		}
		value = seal(t, s, newRecord(map[string]string{"theme": `"dark"`}))
	}
	if _, _, err := s.Decode(value, start); err != nil {
		t.Fatal(err)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range value {
		isMissing(t, s, value[:i])
		for _, bits := range []int{1, 2, 4, 8, 16, 32} {
			flipped := alphabet[strings.IndexByte(alphabet, value[i])^bits]
			isMissing(t, s, value[:i]+string(flipped)+value[i+1:])
		}
		for _, added := range []string{"A", "\n", "\r\n", "=", " ", "\x00", "."} {
			isMissing(t, s, value[:i]+added+value[i:])
		}
	}
	raw := must.Get(base64.RawURLEncoding.DecodeString(value))(t)
	if bytes.Contains(raw, []byte("ada")) || bytes.Contains(raw, []byte("dark")) {
		t.Error("the cookie contains its values in plain text")
	}
	for _, other := range []string{
		value + "A", value + "==", value + value, value + "\n", base64.StdEncoding.EncodeToString(raw),
		strings.Repeat("A", 1<<20), base64.RawURLEncoding.EncodeToString(raw[1:]),
		base64.RawURLEncoding.EncodeToString(append([]byte{version + 1}, raw[1:]...)),
		base64.RawURLEncoding.EncodeToString(make([]byte, sealing.MaxValue*3/4)),
	} {
		isMissing(t, s, other)
	}
}

// TestLongValuesAreNotDecrypted checks that long values are rejected even if they are sealed with the key.
func TestLongValuesAreNotDecrypted(t *testing.T) {
	s := newCodec(t, "a", "session")
	const most = sealing.MaxValue * 3 / 4
	for _, size := range []int{most, most + 1, 2 * most} {
		record := newRecord(nil)
		record.UserAgent = strings.Repeat("x", size-overhead-len(record.User)+1) // its user's length takes one byte, not two
		plain := must.Get(encode(id, record))(t)
		nonce := make([]byte, chacha20poly1305.NonceSizeX)
		sealed := s.aeads[0].Seal(append([]byte{version}, nonce...), nonce, plain, s.additional)
		if len(sealed) != size {
			t.Fatalf("%d bytes, want %d", len(sealed), size)
		}
		value := encoding.EncodeToString(sealed)
		if size > most {
			isMissing(t, s, value)
		} else if _, _, err := s.Decode(value, start); err != nil || len(value) != sealing.MaxValue {
			t.Errorf("%d bytes: %v", len(value), err)
		}
	}
}

// TestEveryValueHasOneEncoding tests all lengths, because two thirds of them leave unused bits in the last character.
func TestEveryValueHasOneEncoding(t *testing.T) {
	s := newCodec(t, "a", "session")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for n := range 4 {
		value := seal(t, s, newRecord(map[string]string{"k": strings.Repeat("x", n+1)}))
		last := len(value) - 1
		for _, letter := range alphabet {
			if byte(letter) != value[last] {
				isMissing(t, s, value[:last]+string(letter))
			}
		}
	}
}

func TestCookieIsBoundToNameAndVersion(t *testing.T) {
	s, cart := newCodec(t, "a", "session"), newCodec(t, "a", "cart")
	isMissing(t, cart, seal(t, s, newRecord(nil)))
	next := newCodec(t, "a", "session")
	next.additional[0] = version + 1
	isMissing(t, s, seal(t, next, newRecord(nil))) // has this version in its first byte, but is authenticated with the next
}

func TestMalformed(t *testing.T) {
	head := make([]byte, 32+3*8)
	for name, rest := range map[string][]byte{
		"nothing":                  nil,
		"a user cut off":           {3, 'a'},
		"a length cut off":         {0x80},
		"a length beyond an int":   {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"a length beyond 64 bits":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"no agent":                 {0},
		"ends without text":        {0, 0, 0},
		"too many ends":            {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"a key without its value":  {0, 0, 1, 'k'},
		"a value without its end":  {0, 0, 1, 'k', 'v'},
		"text after the last end":  {0, 0, 3, 'k', 'v', 'w'},
		"no end":                   {0, 0, 0, 'k', 'v'},
		"an end beyond the text":   {0, 0, 4, 'k', 'v'},
		"a key of all of the text": {0, 0, 2, 'k', 'v'},
	} {
		gotID, record, err := decode(append(head, rest...))
		if err != errMalformed || gotID != (session.ID{}) || record.Values != nil {
			t.Errorf("%s: got %+v, %v", name, record, err)
		}
	}
	for i := range head {
		if _, _, err := decode(head[:i]); err != errMalformed {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	if _, got, err := decode(append(head, 0, 0, 3, 'k', 'v')); err != nil || got.Values["k"] != "v" {
		t.Errorf("decode of a well-formed session: %+v, %v", got, err)
	}
}

// FuzzDecode passes arbitrary values to Decode, and arbitrary plain text to decode.
func FuzzDecode(f *testing.F) {
	s := newCodec(f, "a", "session")
	for _, values := range []map[string]string{nil, {"theme": `"dark"`, "visits": "7"}} {
		plain := must.Get(encode(id, newRecord(values)))(f)
		f.Add(sealed, plain)
	}
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, value string, plain []byte) {
		if value != sealed {
			isMissing(t, s, value)
		}
		gotID, record, err := decode(plain)
		if err != nil {
			return
		}
		again, err := encode(gotID, record)
		must.Succeed(t, err)
		if _, same, err := decode(again); err != nil || !maps.Equal(same.Values, record.Values) || same.User != record.User {
			t.Fatalf("%+v was decoded as %+v, %v", record, same, err)
		}
	})
}
