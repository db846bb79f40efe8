//go:build !unix

// Package filelock has processes of the lab wait for each other; here they do not.
package filelock

import "context"

// Take does nothing here: of two that do the same at once, the one that ends second fails.
func Take(context.Context, string, func()) (unlock func(), err error) { return func() {}, nil }
