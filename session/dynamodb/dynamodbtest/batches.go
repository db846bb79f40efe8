// Package dynamodbtest opens stores for tests.
package dynamodbtest

import (
	"context"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
)

// BatchEveryRead returns a store with Options.BatchReads that reads every session with BatchGetItem, as a store under load does:
// two reads that never end keep it busy until ctx ends.
func BatchEveryRead(ctx context.Context, api dynamodb.API, options dynamodb.Options) *dynamodb.Store {
	options.BatchReads = true
	busy := endless{api, make(chan struct{})}
	store := dynamodb.New(busy, options)
	for range 2 {
		go store.Load(ctx, session.ID{}, time.Time{})
		<-busy.begun
	}
	return store
}

// endless is an API on which GetItem of the zero ID ends with its context.
type endless struct {
	dynamodb.API
	begun chan struct{}
}

func (e endless) GetItem(ctx context.Context, in *sdk.GetItemInput, options ...func(*sdk.Options)) (*sdk.GetItemOutput, error) {
	if id, ok := in.Key[dynamodb.KeyAttribute].(*types.AttributeValueMemberS); !ok || id.Value != (session.ID{}).String() {
		return e.API.GetItem(ctx, in, options...)
	}
	e.begun <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}
