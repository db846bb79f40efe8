package sealing

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// newKey returns a random key as openssl prints it.
func newKey() (text string, secret []byte) {
	secret = make([]byte, keyBytes)
	rand.Read(secret)
	return base64.StdEncoding.EncodeToString(secret), secret
}

func TestParseKeys(t *testing.T) {
	a, first := newKey()
	b, _ := newKey()
	for _, text := range []string{a, a + "," + b, " " + a + " ,\n" + b + "\n"} {
		keys, err := ParseKeys(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got := keys.secrets[0]()
		if want := strings.Count(text, ",") + 1; len(keys.secrets) != want || !bytes.Equal(got[:], first) {
			t.Errorf("%q: got %d keys, want %d, the first one first", text, len(keys.secrets), want)
		}
	}
}

func TestParseKeysRejects(t *testing.T) {
	a, secret := newKey()
	b, _ := newKey()
	nine := make([]string, 9)
	for i := range nine {
		nine[i], _ = newKey()
	}
	tests := []struct{ name, text, says string }{
		{"none", "", "key 1 of 1 has 0 bytes"},
		{"an empty second", a + ",", "key 2 of 2 has 0 bytes"},
		{"too short", base64.StdEncoding.EncodeToString(make([]byte, 31)), "has 31 bytes"},
		{"too long", base64.StdEncoding.EncodeToString(make([]byte, 33)), "has 33 bytes"},
		{"unpadded", strings.TrimRight(a, "="), "key 1 of 1 is no padded standard base64"},
		{"stray bits", strings.Repeat("A", 42) + "B=", "key 1 of 1 is no padded standard base64"},
		{"a phrase", a + ",correct horse battery staple", "key 2 of 2 is no padded standard base64"},
		{"hexadecimal", fmt.Sprintf("%x", secret), "has 48 bytes"},
		{"other separators", a + ";" + b, "is no padded standard base64"},
		{"the same twice", a + "," + b + "," + a, "keys 1 and 3 of 3 are the same"},
		{"too many", strings.Join(nine, ","), "there are 9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			keys, err := ParseKeys(test.text)
			if err == nil {
				t.Fatal("ParseKeys succeeded, want an error")
			}
			if len(keys.secrets) != 0 {
				t.Error("ParseKeys returned keys together with an error")
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "openssl rand -base64 32") {
				t.Errorf("got %q, want %q and what is allowed", err, test.says)
			}
			for word := range strings.SplitSeq(test.text, ",") {
				if len(word) > 3 && strings.Contains(err.Error(), word[:4]) {
					t.Errorf("the error %q contains the key", err)
				}
			}
		})
	}
}

func TestPrintingShowsNoKey(t *testing.T) {
	text, secret := newKey()
	keys := must.Get(ParseKeys(text))(t)
	holder := struct{ keys Keys }{keys}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, printed := range []string{fmt.Sprintf(format, keys), fmt.Sprintf(format, &keys), fmt.Sprintf(format, holder)} {
			for _, form := range []string{"%x", "%X", "%s", "%d"} {
				shown := strings.Trim(fmt.Sprintf(form, secret[:4]), "[]")
				if strings.Contains(printed, shown) {
					t.Errorf("%s prints %s", format, printed)
				}
			}
		}
	}
}

func TestDerive(t *testing.T) {
	a, secret := newKey()
	b, _ := newKey()
	keys := must.Get(ParseKeys(a + "," + b))(t)
	seen := map[string]bool{string(secret): true}
	for _, purpose := range []string{"one", "other"} {
		derived := must.Get(keys.Derive(purpose))(t)
		for _, key := range derived {
			if len(key) != keyBytes || seen[string(key)] {
				t.Errorf("%s: %d bytes, seen before: %v", purpose, len(key), seen[string(key)])
			}
			seen[string(key)] = true
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d different keys, want the one given and 2 derived for each of 2 purposes", len(seen))
	}
	if _, err := (Keys{}).Derive("one"); err == nil {
		t.Error("Derive without keys succeeded, want an error")
	}
}
