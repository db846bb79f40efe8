//go:build !linux

package main

import (
	"errors"
	"time"
)

var errLinux = errors.New("the benchmark pins processes to CPUs, which it can on Linux only")

func cpus() ([]int, error) { return nil, errLinux }

func pin(...int) error { return errLinux }

func cpuTime() (time.Duration, error) { return 0, errLinux }
