package main

import (
	"context"
	"sync"
)

// A gate holds requests until it is opened. It is safe for concurrent use.
type gate struct {
	mu         sync.Mutex
	opened     chan struct{} // closed by open, which makes another for the requests to come
	held, left int
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

// hold returns when the gate is opened. ctx ends when the client has left, which changes only what waiting returns.
func (g *gate) hold(ctx context.Context) {
	g.mu.Lock()
	g.held++
	opened := g.opened
	g.mu.Unlock()
	select {
	case <-opened:
		return
	case <-ctx.Done():
	}
	g.mu.Lock()
	g.left++
	g.mu.Unlock()
	<-opened
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
	g.opened, g.held, g.left = make(chan struct{}), 0, 0
}

// waiting returns how many requests are held, and how many of these have no client any more.
func (g *gate) waiting() (held, left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held, g.left
}
