// Command app is the web server that the fleet runs. It reads everything it needs from its environment (package config),
// keeps its sessions in the store named there, and holds no state of its own: any server may take any request.
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

// run serves until ctx ends, then drains.
func run(ctx context.Context, environment []string) error {
	c, err := config.Parse(environment, slices.Collect(maps.Keys(stores()))...)
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
