package elasticache_test

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"

	"stateless-servers/session"
	"stateless-servers/session/valkey"
	"stateless-servers/session/valkey/elasticache"
)

// This server keeps sessions in a serverless cache of Amazon ElastiCache. It authenticates with the role of its instance.
func Example() {
	role := aws.NewCredentialsCache(ec2rolecreds.New()) // or the credentials of config.LoadDefaultConfig in the AWS SDK
	store := valkey.New(valkey.Options{
		Address:     "sessions-abc.serverless.euw1.cache.amazonaws.com:6379",
		TLS:         true,
		Credentials: elasticache.IAMServerless(role, "eu-west-1", "web", "sessions"),
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
