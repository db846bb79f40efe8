package dynamodb

import "time"

// BatchEveryRead makes a Store read every item with BatchGetItem, after a wait for other reads.
func BatchEveryRead(s *Store, wait time.Duration) { s.reads.maxInFlight, s.reads.maxWait = 0, wait }
