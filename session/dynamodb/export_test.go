package dynamodb

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// BatchEveryRead makes a Store read every item with BatchGetItem, after a wait for other reads.
func BatchEveryRead(s *Store, wait time.Duration) {
	s.options.BatchReads, s.reads.maxInFlight, s.reads.maxWait = true, 0, wait
}

// HTTPClient returns the HTTP client of NewClient with another transport.
func HTTPClient(transport http.RoundTripper) aws.HTTPClient { return httpClient{direct{transport}} }
