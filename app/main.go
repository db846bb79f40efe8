// Command app is the web server that the fleet runs. It reads its configuration from environment variables (package config)
// and keeps sessions in the configured store. It holds no state of its own, so any server can handle any request. The
// handlers are in package web; server.go starts and drains the server.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"stateless-servers/app/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	limitMemory()
	if err := run(ctx, os.Environ()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves requests until ctx ends, then drains.
func run(ctx context.Context, environment []string) error {
	c, err := config.Parse(environment, slices.Collect(maps.Keys(openers()))...)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("server", c.ServerName)
	s, err := newServer(ctx, c, logger)
	if err != nil {
		return err
	}
	return s.run(ctx)
}
