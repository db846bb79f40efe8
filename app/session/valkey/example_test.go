package valkey_test

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"stateless-servers/app/session"
	"stateless-servers/app/session/valkey"
)

func Example() {
	server, err := miniredis.Run() // or the address of Valkey, Redis OSS or an ElastiCache endpoint
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	store := valkey.New(valkey.Options{Address: server.Addr()})
	defer store.Close()

	manager, err := session.New(store, session.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(manager.Promises().Name, manager.Promises().NoLostUpdate)
	// Output: valkey true
}
