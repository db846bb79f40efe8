package config

import "time"

// SlowOperation is from when on an operation of the session store counts as slow.
const SlowOperation = 64 * time.Millisecond

// The counters of session store operations that the admin server's /metrics shows, of all operations together and from
// zero on. They are for collectors that drop histograms, as the Amazon CloudWatch agent does.
const (
	MetricOperations  = "session_store_operations_total"      // all operations
	MetricBusySeconds = "session_store_busy_seconds_total"    // the time that they took
	MetricSlow        = "session_store_slow_operations_total" // those of SlowOperation or longer
	MetricMissing     = "session_store_missing_total"         // those that found no session
	MetricUnavailable = "session_store_unavailable_total"     // those that the store didn't answer
	MetricConflicts   = "session_store_conflicts_total"       // writes tried again because another came between
)

// Metrics lists the counters.
func Metrics() []string {
	return []string{MetricOperations, MetricBusySeconds, MetricSlow, MetricMissing, MetricUnavailable, MetricConflicts}
}
