package config

import "time"

// SlowOperation is the duration from which an operation of the session store counts as slow.
const SlowOperation = 64 * time.Millisecond

// The names of counters of session store operations on the admin server's /metrics. They have no labels and start at zero,
// for collectors that don't support histograms, such as the Amazon CloudWatch agent.
const (
	MetricOperations  = "session_store_operations_total"      // all operations
	MetricBusySeconds = "session_store_busy_seconds_total"    // their total duration
	MetricSlow        = "session_store_slow_operations_total" // operations of SlowOperation or longer
	MetricMissing     = "session_store_missing_total"         // operations that found no session
	MetricUnavailable = "session_store_unavailable_total"     // operations that failed because the store didn't respond
	MetricConflicts   = "session_store_conflicts_total"       // writes retried because of a concurrent write
)

// Metrics returns the names of the counters.
func Metrics() []string {
	return []string{MetricOperations, MetricBusySeconds, MetricSlow, MetricMissing, MetricUnavailable, MetricConflicts}
}
