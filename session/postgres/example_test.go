package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"stateless-servers/session"
	"stateless-servers/session/postgres"
)

// This server keeps sessions in Amazon RDS or Aurora. Its database user authenticates with IAM, without a stored password.
func Example() {
	ctx := context.Background()
	store, err := postgres.New(postgres.Options{
		URL: "postgres://web@sessions.cluster-abc.eu-west-1.rds.amazonaws.com/sessions" +
			"?sslmode=verify-full&pool_max_conns=16", // add sslrootcert= with the file of RDS's certificate authorities
		Password: func(ctx context.Context) (string, error) {
			// auth.BuildAuthToken of github.com/aws/aws-sdk-go-v2/feature/rds/auth
			return "token", nil
		},
	})
	if err != nil {
		slog.Error("sessions", "error", err)
		return
	}
	defer store.Close()
	go store.Maintain(ctx, 5*time.Minute, func(err error) { slog.Error("sessions", "error", err) })

	manager, err := session.New(store, session.Options{})
	if err != nil {
		slog.Error("sessions", "error", err)
		return
	}
	server := http.Server{Addr: ":8080", Handler: manager.Handler(http.NotFoundHandler())} // ListenAndServe it
	fmt.Println(server.Addr, manager.Promises().Name, manager.Promises().NoLostUpdate)
	// Output: :8080 postgres true
}

// This server has a pool already, for its other data.
func ExampleNewFromPool() {
	pool, err := pgxpool.New(context.Background(), "postgres://web@database/shop?target_session_attrs=read-write&connect_timeout=2")
	if err != nil {
		slog.Error("sessions", "error", err)
		return
	}
	defer pool.Close()
	store, err := postgres.NewFromPool(pool)
	if err != nil {
		slog.Error("sessions", "error", err)
		return
	}
	fmt.Println(store.Promises().Name)
	// Output: postgres
}
