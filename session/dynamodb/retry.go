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

// once has the SDK send a write once. It would repeat one whose answer it lost, and an addition would count twice. See
// repeat for the writes that may be sent again.
func once(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

const (
	// firstPause is about how long a transaction holds an item.
	firstPause = 10 * time.Millisecond
	maxPause   = 200 * time.Millisecond
	// maxAttempts bounds loops whose context has no deadline.
	maxAttempts = 100
)

// repeat calls f until its error is another than that nothing was done, and pauses in between. When ctx ends it returns
// f's last error.
func repeat[T any](ctx context.Context, f func() (T, error)) (output T, err error) {
	for attempt := range maxAttempts {
		if output, err = f(); !undone(err) || !pause(ctx, attempt) {
			break
		}
	}
	return output, err
}

// pause waits before another attempt: longer each time, and for a random while, so that servers don't come at once. It
// returns false when ctx has ended.
func pause(ctx context.Context, attempt int) bool {
	most := maxPause
	if attempt < 5 {
		most = min(most, firstPause<<attempt)
	}
	timer := time.NewTimer(most/2 + rand.N(most/2)) // #nosec G404 -- jitter
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// undone reports whether DynamoDB says by an error that it did nothing, because of other requests: a transaction had one
// of the items, or the request was throttled.
func undone(err error) bool {
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
