//go:build !unix

package main

// descriptorLimit reports that no limit is known.
func descriptorLimit() (int, bool) { return 0, false }
