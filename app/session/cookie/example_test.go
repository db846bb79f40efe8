package cookie_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"stateless-servers/app/session"
	"stateless-servers/app/session/cookie"
	"stateless-servers/app/session/sealing"
)

// Two servers share nothing but the keys. What one seals, the other opens.
func Example() {
	secret := make([]byte, 32)
	rand.Read(secret)
	keys, err := sealing.ParseKeys(base64.StdEncoding.EncodeToString(secret)) // in earnest: from the environment
	if err != nil {
		fmt.Println(err)
		return
	}
	one, err := cookie.New(keys, "session")
	if err != nil {
		fmt.Println(err)
		return
	}
	other, err := cookie.New(keys, "session")
	if err != nil {
		fmt.Println(err)
		return
	}

	now := time.Now()
	value, err := one.Seal(session.ID{1}, session.Record{
		Values: map[string]string{"theme": `"dark"`}, User: "ada",
		Created: now, Expires: now.Add(24 * time.Hour), IdleExpires: now.Add(30 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	_, record, err := other.Open(value, now)
	fmt.Println(record.User, record.Values["theme"], err)
	_, _, err = other.Open(value, now.Add(time.Hour))
	fmt.Println(err)
	// Output:
	// ada "dark" <nil>
	// session not found
}
