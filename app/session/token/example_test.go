package token_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"stateless-servers/app/session"
	"stateless-servers/app/session/sealing"
	"stateless-servers/app/session/token"
)

// Two servers share nothing but keys and options. What one signs, the other checks.
func Example() {
	secret := make([]byte, 32)
	rand.Read(secret)
	keys, err := sealing.ParseKeys(base64.StdEncoding.EncodeToString(secret)) // in earnest: from the environment
	if err != nil {
		fmt.Println(err)
		return
	}
	options := token.Options{Issuer: "https://shop.example", Audience: "shop"}
	one, err := token.New(keys, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	other, err := token.New(keys, options)
	if err != nil {
		fmt.Println(err)
		return
	}

	now := time.Now()
	value, err := one.Seal(session.ID{1}, session.Record{
		Values: map[string]string{"role": `"clerk"`}, User: "ada", Created: now, Expires: now.Add(24 * time.Hour),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	_, record, err := other.Open(value, now)
	fmt.Println(record.User, record.Values["role"], err)
	_, _, err = other.Open(value, now.Add(25*time.Hour))
	fmt.Println(err)
	// Output:
	// ada "clerk" <nil>
	// session not found
}
