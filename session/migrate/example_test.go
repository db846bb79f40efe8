package migrate_test

import (
	"fmt"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/migrate"
)

func Example() {
	old, next := memory.New(), memory.New() // say, DynamoDB and Valkey

	// First every server gets this; sessions stay where they are.
	_, err := session.New(migrate.Prepare(old, next), session.Options{})
	fmt.Println(err)

	// When all have it, every server gets this; each session moves when it is next used.
	_, err = session.New(migrate.Move(old, next), session.Options{})
	fmt.Println(err)

	// A session's lifetime later, every server gets the new store alone.
	_, err = session.New(next, session.Options{})
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
