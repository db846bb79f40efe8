//go:build !unix

package main

// descriptorLimit says that there is none.
func descriptorLimit() (int, bool) { return 0, false }
