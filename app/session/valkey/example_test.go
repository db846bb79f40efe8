package valkey_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/config"

	"stateless-servers/app/session"
	"stateless-servers/app/session/valkey"
)

// A server with sessions in a serverless cache of Amazon ElastiCache, which it enters with its instance's role.
func Example() {
	ctx := context.Background()
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		slog.Error("credentials", "error", err)
		return
	}
	store := valkey.New(valkey.Options{
		Address:     "sessions-abc.serverless.euw1.cache.amazonaws.com:6379",
		TLS:         true,
		Credentials: valkey.IAMServerless(aws.Credentials, aws.Region, "web", "sessions"),
	})
	defer store.Close()
	manager, err := session.New(store, session.Options{})
	if err != nil {
		slog.Error("sessions", "error", err)
		return
	}
	server := http.Server{Addr: ":8080", Handler: manager.Handler(http.NotFoundHandler())} // ListenAndServe it
	fmt.Println(server.Addr, manager.Promises().Name, manager.Promises().NoLostUpdate)
	// Output: :8080 valkey true
}
