package migrate_test

import (
	"fmt"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/migrate"
)

func Example() {
	old, next := memory.New(), memory.New() // for example DynamoDB and Valkey

	// First every server uses Prepare. Sessions stay in the old store.
	_, err := session.New(migrate.Prepare(old, next), session.Options{})
	fmt.Println(err)

	// Then every server uses Move. Each session moves when it is next used.
	_, err = session.New(migrate.Move(old, next), session.Options{})
	fmt.Println(err)

	// After the lifetime of a session, every server uses the new store alone.
	_, err = session.New(next, session.Options{})
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
