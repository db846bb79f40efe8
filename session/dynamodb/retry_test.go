package dynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
)

// A still is a table that replies to every request with the same live session, and changes nothing.
type still struct{}

func (still) item() map[string]types.AttributeValue {
	number := func(n int64) types.AttributeValue {
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
	}
	return map[string]types.AttributeValue{
		"id":      &types.AttributeValueMemberS{Value: session.ID{1}.String()},
		"created": number(start.UnixMilli()), "expires": number(start.Unix() + 3600), "ttl": number(start.Unix() + 600),
		"values": &types.AttributeValueMemberM{},
	}
}

func (s still) GetItem(context.Context, *sdk.GetItemInput, ...option) (*sdk.GetItemOutput, error) {
	return &sdk.GetItemOutput{Item: s.item()}, nil
}

func (s still) PutItem(context.Context, *sdk.PutItemInput, ...option) (*sdk.PutItemOutput, error) {
	return &sdk.PutItemOutput{Attributes: s.item()}, nil
}

func (s still) UpdateItem(context.Context, *sdk.UpdateItemInput, ...option) (*sdk.UpdateItemOutput, error) {
	return &sdk.UpdateItemOutput{Attributes: s.item()}, nil
}

func (still) Query(context.Context, *sdk.QueryInput, ...option) (*sdk.QueryOutput, error) {
	return &sdk.QueryOutput{}, nil
}

func (still) BatchGetItem(context.Context, *sdk.BatchGetItemInput, ...option) (*sdk.BatchGetItemOutput, error) {
	return &sdk.BatchGetItemOutput{}, nil
}

func (still) TransactWriteItems(context.Context, *sdk.TransactWriteItemsInput, ...option) (*sdk.TransactWriteItemsOutput, error) {
	return &sdk.TransactWriteItemsOutput{}, nil
}

// A write is a call of a store, with the name of its request.
type write struct {
	name, request string
	do            func(context.Context, session.Store) error
}

func writes() []write {
	id, known := session.ID{1}, record("", nil)
	return []write{
		{"create", "put", func(ctx context.Context, s session.Store) error { return s.Create(ctx, id, record("ada", nil)) }},
		{"update", "update", func(ctx context.Context, s session.Store) error {
			_, err := s.Update(ctx, id, update(add("n", 1)))
			return err
		}},
		{"update of many keys", "update", func(ctx context.Context, s session.Store) error {
			_, err := s.Update(ctx, id, update(many(300)...))
			return err
		}},
		{"end", "put", func(ctx context.Context, s session.Store) error {
			_, err := s.End(ctx, id, session.EndOptions{Now: start})
			return err
		}},
		{"end to move", "update", func(ctx context.Context, s session.Store) error {
			_, err := s.End(ctx, id, session.EndOptions{Now: start, Moving: true})
			return err
		}},
		{"renew", "transact", func(ctx context.Context, s session.Store) error {
			_, err := s.Renew(ctx, renewal(id, session.ID{2}, &known))
			return err
		}},
	}
}

// many returns the given number of additions of 1.
func many(n int) (changes []session.Change) {
	for i := range n {
		changes = append(changes, add(fmt.Sprint("key ", i), 1))
	}
	return changes
}

// canceled returns the error of a transaction with these cancellation reasons.
func canceled(codes ...string) error {
	err := &types.TransactionCanceledException{}
	for _, code := range codes {
		err.CancellationReasons = append(err.CancellationReasons, types.CancellationReason{Code: aws.String(code)})
	}
	return err
}

// A write is retried if DynamoDB reports that it applied nothing because of a transaction or throttling.
func TestWritesThatWereNotAppliedAreRetried(t *testing.T) {
	undone := []error{
		&types.TransactionConflictException{}, &types.TransactionInProgressException{},
		&types.ProvisionedThroughputExceededException{}, &types.RequestLimitExceeded{},
		&smithy.GenericAPIError{Code: "ThrottlingException"},
	}
	cancellations := []error{
		canceled("TransactionConflict", "None"), canceled("None", "ThrottlingError"), canceled("ProvisionedThroughputExceeded", "None"),
		canceled("ConditionalCheckFailed", "TransactionConflict"), // the condition may have failed on half of a transaction
	}
	for _, write := range writes() {
		errs := undone
		if write.request == "transact" {
			errs = slices.Concat(undone, cancellations)
		}
		for _, err := range errs {
			t.Run(fmt.Sprintf("%s: %v", write.name, err), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := &network{API: still{}}
					n.reset()
					n.refuse[write.request] = []error{err, err, err}
					if err := write.do(t.Context(), dynamodb.New(n, dynamodb.Options{Table: table})); err != nil {
						t.Errorf("got %v", err)
					}
					if got := n.count(write.request); got != 4 {
						t.Errorf("sent %d times, want 4", got)
					}
				})
			})
		}
	}
}

// A write that may have been applied, or that can't succeed, is sent once.
func TestOtherWritesAreSentOnce(t *testing.T) {
	other := []error{
		errLost, &types.InternalServerError{}, &smithy.GenericAPIError{Code: "AccessDeniedException"},
		&smithy.GenericAPIError{Code: "ValidationException", Message: "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size"},
	}
	for _, write := range writes() {
		errs := other
		if write.request == "transact" {
			errs = slices.Concat(other, []error{canceled("None", "ValidationError"), canceled("None", "ItemCollectionSizeLimitExceeded")})
		}
		for _, want := range errs {
			synctest.Test(t, func(t *testing.T) {
				n := &network{API: still{}}
				n.reset()
				n.refuse[write.request] = []error{want}
				err := write.do(t.Context(), dynamodb.New(n, dynamodb.Options{Table: table}))
				if !errors.Is(err, want) || errors.Is(err, session.ErrTooLarge) {
					t.Errorf("%s: got %v, want %v", write.name, err, want)
				}
				if got := n.count(write.request); got != 1 {
					t.Errorf("%s: sent %d times after %v", write.name, got, want)
				}
			})
		}
	}
}

// Retries end with the context, and after maxAttempts.
func TestRetryIsBounded(t *testing.T) {
	for _, write := range writes() {
		for _, timeout := range []time.Duration{800 * time.Millisecond, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				n := &network{API: still{}}
				n.reset()
				want := error(&types.TransactionConflictException{})
				n.refuse[write.request] = slices.Repeat([]error{want}, 1000)
				err := write.do(ctx, dynamodb.New(n, dynamodb.Options{Table: table}))
				if !errors.Is(err, want) {
					t.Errorf("%s: got %v", write.name, err)
				}
				if took, sent := time.Since(begin), n.count(write.request); took > min(timeout, time.Minute) || sent < 5 || sent > 100 {
					t.Errorf("%s: sent %d times in %v, with %v", write.name, sent, took, timeout)
				}
			})
		}
	}
}

// A renewal or a change of many keys gives up if every attempt meets a concurrent change.
func TestContentionIsBounded(t *testing.T) {
	for _, write := range writes() {
		failed := error(&types.ConditionalCheckFailedException{Item: still{}.item()})
		switch write.name {
		case "renew":
			failed = canceled("ConditionalCheckFailed", "None")
		case "update of many keys":
		default:
			continue
		}
		n := &network{API: still{}}
		n.reset()
		n.refuse[write.request] = slices.Repeat([]error{failed}, 1000)
		err := write.do(t.Context(), dynamodb.New(n, dynamodb.Options{Table: table}))
		if err == nil || errors.Is(err, session.ErrCounter) {
			t.Errorf("%s: got %v, want an error", write.name, err)
		}
		if got := n.count(write.request); got > 100 {
			t.Errorf("%s: %d attempts", write.name, got)
		}
	}
}

// The SDK does not retry a write whose reply is lost.
func TestSDKRetriesNoWrite(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}))
	defer server.Close()
	config := config()
	config.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	}
	store := dynamodb.New(dynamodb.NewClient(config, server.URL), dynamodb.Options{Table: table})
	for _, write := range writes() {
		if write.name == "update of many keys" {
			continue // begins with a read
		}
		requests.Store(0)
		if err := write.do(t.Context(), store); err == nil {
			t.Errorf("%s: succeeded without a reply, want an error", write.name)
		}
		if got := requests.Load(); got != 1 {
			t.Errorf("%s: sent %d times", write.name, got)
		}
	}
	requests.Store(0)
	if _, err := store.Load(t.Context(), session.ID{1}, start); err == nil || requests.Load() < 2 {
		t.Errorf("%v; this test would not detect a retry by the SDK", err)
	}
}
