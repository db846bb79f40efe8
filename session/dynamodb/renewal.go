package dynamodb

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
)

// errExists means that the new id of a renewal exists, because the renewal was done before.
var errExists = errors.New("the new id of a renewal exists")

// errChanged means that the old session has changed since it was read.
var errChanged = errors.New("the session has changed")

// Renew ends the old session and stores the new one in one transaction, under the condition that the old session has the values
// that the new one gets. With Renewal.Known it needs no read, unless Known is stale.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	var old item
	if r.Known != nil && r.Known.Live(r.Now) {
		old = encode(r.Old, *r.Known)
	}
	for range maxAttempts {
		if old == nil {
			var err error
			if old, err = s.get(ctx, r.Old, true); err != nil {
				return session.Record{}, err
			}
		}
		record, err := decodeOf(r.Old, old, r.Now)
		if errors.Is(err, session.ErrEnded) || errors.Is(err, session.ErrNotFound) {
			return s.renewEnded(ctx, r, old, err)
		}
		if err != nil {
			return session.Record{}, err
		}
		fresh := renewedItem(r, record, old)
		switch err := s.renewLive(ctx, r, old, fresh); {
		case err == nil:
			return decode(fresh, r.Now)
		case errors.Is(err, errExists):
			return s.loadConsistent(ctx, r.New, r.Now)
		case !errors.Is(err, errChanged):
			return session.Record{}, err
		}
		old = nil // read it as it is stored: Known may be stale, or have other JSON text
	}
	return session.Record{}, errContended
}

// renewEnded renews a session that is not live. If an earlier attempt of this renewal was done, it returns the new session.
// Otherwise a login may start from the state that the tombstone keeps.
func (s *Store) renewEnded(ctx context.Context, r session.Renewal, old item, why error) (session.Record, error) {
	record, err := s.loadConsistent(ctx, r.New, r.Now)
	if !errors.Is(err, session.ErrNotFound) {
		return record, err
	}
	kept, _, ok := decodeKept(old, keptForLogin)
	if !r.AllowRenewed || !ok || !errors.Is(why, session.ErrEnded) {
		return session.Record{}, why
	}
	fresh := renewedItem(r, kept, old)
	var exists *types.ConditionalCheckFailedException
	switch err := s.create(ctx, fresh); {
	case errors.As(err, &exists):
		return s.loadConsistent(ctx, r.New, r.Now)
	case err != nil:
		return session.Record{}, err
	}
	return decode(fresh, r.Now)
}

// renewedItem returns the item of the new session. It copies the stored values of the old item unchanged.
func renewedItem(r session.Renewal, record session.Record, old item) item {
	next := r.Renewed(record)
	fresh := encode(r.New, next)
	if next.Values != nil {
		fresh[attributeValues] = old[attributeValues]
	}
	return fresh
}

// renewLive makes the transaction. It returns errExists, errChanged, or a failure. The SDK generates a new ClientRequestToken for
// each call. A token derived from the new id would make a repeated renewal succeed without checking whether the new session has
// been changed or ended meanwhile.
func (s *Store) renewLive(ctx context.Context, r session.Renewal, old, fresh item) error {
	end := tombstone(keptForLogin, r.Now)
	end.names["#values"], end.values[":values"] = attributeValues, old[attributeValues]
	input := &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{Update: &types.Update{
			TableName: &s.options.Table, Key: key(r.Old),
			UpdateExpression: &end.expression, ConditionExpression: aws.String(unchanged),
			ExpressionAttributeNames: end.names, ExpressionAttributeValues: end.values,
		}},
		{Put: &types.Put{
			TableName: &s.options.Table, Item: fresh,
			ConditionExpression:      aws.String(itemAbsent),
			ExpressionAttributeNames: map[string]string{"#id": attributeID},
		}},
	}}
	_, err := retryNotApplied(ctx, func() (*dynamodb.TransactWriteItemsOutput, error) {
		return s.api.TransactWriteItems(ctx, input, noRetry)
	})
	var canceled *types.TransactionCanceledException
	if !errors.As(err, &canceled) {
		return tooLargeError(err)
	}
	failed := func(i int) bool {
		return i < len(canceled.CancellationReasons) &&
			aws.ToString(canceled.CancellationReasons[i].Code) == "ConditionalCheckFailed"
	}
	for _, reason := range canceled.CancellationReasons {
		if aws.ToString(reason.Code) == "ValidationError" && itemTooLarge(aws.ToString(reason.Message)) {
			return session.ErrTooLarge
		}
	}
	switch {
	case failed(1):
		return errExists
	case failed(0):
		return errChanged
	}
	return err
}
