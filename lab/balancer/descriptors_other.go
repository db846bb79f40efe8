//go:build !unix

package balancer

// descriptorLimit returns DescriptorsNeeded, because there is no limit.
func descriptorLimit() int { return DescriptorsNeeded }
