package postgres_test

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"stateless-servers/app/session"
	"stateless-servers/app/session/postgres"
)

// A server with sessions in Amazon RDS or Aurora, whose IAM user needs no password to be kept anywhere.
func Example() {
	ctx := context.Background()
	store, err := postgres.New(postgres.Options{
		URL: "postgres://web@sessions.cluster-abc.eu-west-1.rds.amazonaws.com/sessions" +
			"?sslmode=verify-full&sslrootcert=/etc/pki/rds/global-bundle.pem&pool_max_conns=16",
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
	go store.Run(ctx, 5*time.Minute, func(err error) { slog.Error("sessions", "error", err) })

	manager, err := session.New(store, session.Options{})
	if err != nil {
		slog.Error("sessions", "error", err)
		return
	}
	http.ListenAndServe(":8080", manager.Handler(http.NotFoundHandler()))
}
