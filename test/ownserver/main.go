// Command ownserver is a server that can take the place of the sample: see docs/your-server.md. It uses nothing but the
// standard library and has no sessions. The tests of package stacks deploy it with the real boot script. Start reading at
// serve.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

// serve serves until the context ends, and then finishes the requests in flight.
func serve(ctx context.Context) error {
	// Variables with their default values are not set.
	drain, err := time.ParseDuration(value("DRAIN_TIMEOUT", "40s"))
	if err != nil {
		return fmt.Errorf("reading DRAIN_TIMEOUT: %w", err)
	}
	keepAlive, err := time.ParseDuration(value("KEEP_ALIVE", "75s"))
	if err != nil {
		return fmt.Errorf("reading KEEP_ALIVE: %w", err)
	}
	listener, err := net.Listen("tcp", value("ADDR", ":8080"))
	if err != nil {
		return err
	}
	name, store := os.Getenv("SERVER_NAME"), os.Getenv("SESSION_STORE")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {}) // a server with a store asks it
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Served-By", name)
		fmt.Fprintf(w, "%s in %s, with sessions in %s\n", name, os.Getenv("ZONE"), store)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: keepAlive}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timeout, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	return server.Shutdown(timeout)
}

// value returns the value of an environment variable, or its default.
func value(name, fallback string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return fallback
}
