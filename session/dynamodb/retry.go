package dynamodb

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// noRetry makes the SDK send a write only once. By default it retries if the reply is lost, and an addition would count twice.
// retryNotApplied retries the writes that can be sent again.
func noRetry(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

const (
	// firstPause is about the time for which a transaction locks an item.
	firstPause = 10 * time.Millisecond
	maxPause   = 200 * time.Millisecond
	// maxAttempts limits loops whose context has no deadline.
	maxAttempts = 100
)

// retryNotApplied calls f again, after a pause, as long as its error says that nothing was applied. When ctx ends, it returns the
// last error of f.
func retryNotApplied[T any](ctx context.Context, f func() (T, error)) (output T, err error) {
	for attempt := range maxAttempts {
		if output, err = f(); !notApplied(err) || !pause(ctx, attempt) {
			break
		}
	}
	return output, err
}

// pause waits before the next attempt, exponentially longer and with jitter, so that servers don't retry at the same time. It
// returns false if ctx ends.
func pause(ctx context.Context, attempt int) bool {
	limit := maxPause
	if attempt < 5 {
		limit = min(limit, firstPause<<attempt)
	}
	timer := time.NewTimer(limit/2 + rand.N(limit/2)) // #nosec G404 -- jitter
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// notApplied reports whether err says that DynamoDB applied nothing because of other requests: a transaction held one of the items,
// or the request was throttled.
func notApplied(err error) bool {
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		for _, reason := range canceled.CancellationReasons {
			switch aws.ToString(reason.Code) {
			case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
				return true
			}
		}
		return false
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	_, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	switch api.ErrorCode() {
	case "TransactionConflictException", "TransactionInProgressException":
		return true
	}
	return throttled
}
