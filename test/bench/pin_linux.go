package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpus returns the numbers of the CPUs that this process may run on.
func cpus() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read this process's CPUs: %w", err)
	}
	var list []int
	for cpu := 0; len(list) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list, nil
}

// pin has every thread of this process, and its children from now on, run on these CPUs only. A thread inherits the CPUs
// of the one that starts it, so that one look that finds all of them pinned is enough.
func pin(cpus ...int) error {
	var want unix.CPUSet
	for _, cpu := range cpus {
		want.Set(cpu)
	}
	for pinned := false; !pinned; {
		pinned = true
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("pin to CPUs %v: %w", cpus, err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return fmt.Errorf("pin to CPUs %v: %w", cpus, err)
			}
			var have unix.CPUSet
			if err = unix.SchedGetaffinity(id, &have); err == nil && have != want {
				pinned = false
				err = unix.SchedSetaffinity(id, &want)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // a thread may have ended
				return fmt.Errorf("pin to CPUs %v: %w", cpus, err)
			}
		}
	}
	return nil
}

// cpuTime is what this process has used.
func cpuTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("read this process's CPU time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
