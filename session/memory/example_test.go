package memory_test

import (
	"context"
	"fmt"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

func Example() {
	store, ctx, now := memory.New(), context.Background(), time.Now()
	id := session.ID{1} // a Manager makes these from the visitor's cookie
	record := session.Record{Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Minute)}
	if err := store.Create(ctx, id, record); err != nil {
		fmt.Println(err)
		return
	}
	changed, err := store.Update(ctx, id, session.Update{
		Now: now, IdleExpires: now.Add(time.Minute),
		Changes: []session.Change{{Op: session.OpAdd, Key: "visits", N: 1}},
	})
	fmt.Println(changed.Values, err)
	_, err = store.Load(ctx, id, now.Add(time.Minute))
	fmt.Println(err)
	// Output:
	// map[visits:1] <nil>
	// session not found
}
