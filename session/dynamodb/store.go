// Package dynamodb keeps sessions in an Amazon DynamoDB table: an item per session, a conditional UpdateItem per update, a
// transaction of two items per renewal. Ids are the partition key, so that load spreads evenly. There is never a Scan.
//
// A server needs the actions GetItem, BatchGetItem, PutItem and UpdateItem on the table, and Query on its index. A
// transaction needs the actions of its items.
package dynamodb

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"stateless-servers/session"
)

// maxBytes leaves room for an item's own attributes under the limit of 400 KB (409,600 bytes, names included; Amazon
// DynamoDB Developer Guide, "Quotas"). What exceeds that in spite of it, DynamoDB refuses.
const maxBytes = 400_000

// An API is what the Store needs of a DynamoDB client.
type API interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (
		*dynamodb.TransactWriteItemsOutput, error)
}

// Options configure a Store.
type Options struct {
	// Table is the table's name.
	Table string
	// EventualReads halves the price of reads. The store then no longer promises that a request reads what the one before
	// it wrote. It is what a cache such as DAX needs: see package dax.
	EventualReads bool
	// Replicated says that the table is a replica of a global table, which other regions write to as well: see
	// Promises.OneRegion. Consistent reads, and conditions of updates, are about the replica alone.
	Replicated bool
}

// Store keeps sessions in a table. Create one with New.
type Store struct {
	api     API
	options Options
}

var _ session.UserStore = (*Store)(nil)

// New returns a Store on a table as CreateTable makes it.
func New(api API, options Options) *Store {
	return &Store{api: api, options: options}
}

// Promises declares that every promise is kept, but read-your-writes only by consistent reads, and of replicas only in
// one region. The list of a user's sessions comes from an index, see UserSessions.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "dynamodb", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: !s.options.EventualReads,
		AtomicRenewal: true, OneRegion: s.options.Replicated, ListsByUser: true, Mutable: true, MaxBytes: maxBytes,
	}
}

// Ping reads an item that never exists, from the table itself: DescribeTable would ask for one more permission.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.options.Table, Key: item{attributeID: text("ping")}, ConsistentRead: aws.Bool(true),
	})
	return err
}

// Create stores a new session.
func (s *Store) Create(ctx context.Context, id session.ID, record session.Record) error {
	return s.create(ctx, encode(id, record))
}

func (s *Store) create(ctx context.Context, it item) error {
	input := &dynamodb.PutItemInput{
		TableName: &s.options.Table, Item: it,
		ConditionExpression:      aws.String(absent),
		ExpressionAttributeNames: map[string]string{"#id": attributeID},
	}
	_, err := repeat(ctx, func() (*dynamodb.PutItemOutput, error) { return s.api.PutItem(ctx, input, once) })
	return refused(err)
}

// absent is the condition on an item that isn't there yet.
const absent = "attribute_not_exists(#id)"

// Load reads a session, consistently unless told otherwise.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.load(ctx, id, now, !s.options.EventualReads)
}

func (s *Store) load(ctx context.Context, id session.ID, now time.Time, consistent bool) (session.Record, error) {
	it, err := s.get(ctx, id, consistent)
	if err != nil {
		return session.Record{}, err
	}
	return decodeOf(id, it, now)
}

// get returns the item of an id as it is stored, nil if there is none.
func (s *Store) get(ctx context.Context, id session.ID, consistent bool) (item, error) {
	output, err := s.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.options.Table, Key: key(id), ConsistentRead: &consistent,
	})
	if err != nil {
		return nil, err
	}
	return output.Item, nil
}

func key(id session.ID) item { return item{attributeID: text(id.String())} }

// live is the condition on a session that may be changed. It fails for items without these attributes.
const live = "#expires > :now AND #ttl > :now"

// End puts the note that the session has ended in its place, and so strikes it off the index.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	if options.Moving {
		return s.endToMove(ctx, id, options.Now)
	}
	until := seconds(options.Now.Add(session.EndedFor))
	input := &dynamodb.PutItemInput{
		TableName: &s.options.Table,
		Item:      item{attributeID: text(id.String()), attributeEnded: until, attributeTTL: until},

		ConditionExpression:                 aws.String(live),
		ExpressionAttributeNames:            map[string]string{"#expires": attributeExpires, "#ttl": attributeTTL},
		ExpressionAttributeValues:           item{":now": number(options.Now.Unix())},
		ReturnValues:                        types.ReturnValueAllOld,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	output, err := repeat(ctx, func() (*dynamodb.PutItemOutput, error) { return s.api.PutItem(ctx, input, once) })
	if err != nil {
		return session.Record{}, answer(err, id, options.Now)
	}
	return decodeOf(id, output.Attributes, options.Now)
}

// endToMove is End with Moving.
func (s *Store) endToMove(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	change := tombstone(keptForMove, now)
	input := &dynamodb.UpdateItemInput{
		TableName: &s.options.Table, Key: key(id),
		UpdateExpression: &change.expression, ConditionExpression: aws.String(live),
		ExpressionAttributeNames: change.names, ExpressionAttributeValues: change.values,
		ReturnValues:                        types.ReturnValueAllOld,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	output, err := repeat(ctx, func() (*dynamodb.UpdateItemOutput, error) { return s.api.UpdateItem(ctx, input, once) })
	if err == nil {
		return decodeOf(id, output.Attributes, now)
	}
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		record, until, ok := decodeKept(failed.Item, keptForMove)
		if ok && now.Before(until.Add(-session.MaxClockSkew)) {
			return record, nil
		}
	}
	return session.Record{}, answer(err, id, now)
}

// A change is an update expression with its names and values.
type change struct {
	expression string
	names      map[string]string
	values     item
}

// tombstone returns the change that ends a session on the condition live, and keeps its last state.
func tombstone(kept string, now time.Time) change {
	return change{
		"SET #ended = :until, #kept = :kept, #keptExpires = #expires, #keptIdle = #ttl, #ttl = :until " +
			"REMOVE #expires, #owner, #position",
		map[string]string{
			"#ended": attributeEnded, "#kept": attributeKept, "#keptExpires": attributeKeptExpires, "#keptIdle": attributeKeptIdle,
			"#expires": attributeExpires, "#ttl": attributeTTL, "#owner": attributeOwner, "#position": attributePosition,
		},
		item{":now": number(now.Unix()), ":until": seconds(now.Add(session.EndedFor)), ":kept": text(kept)},
	}
}

// answer turns an error of a change into one of the package session, where it is an answer and no failure.
func answer(err error, id session.ID, now time.Time) error {
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return refused(err)
	}
	if _, err := decodeOf(id, failed.Item, now); err != nil {
		return err
	}
	return session.ErrCounter // it is live: only an addition can have failed
}

// refused recognizes that an item is too large. An expression that is too large has a similar message.
func refused(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "ValidationException" && itemTooLarge(api.ErrorMessage()) {
		return session.ErrTooLarge
	}
	return err
}

// itemTooLarge recognizes "Item size has exceeded the maximum allowed size" and "Item size to update has exceeded …".
func itemTooLarge(message string) bool {
	return strings.Contains(message, "Item size") && strings.Contains(message, "exceeded the maximum allowed size")
}
