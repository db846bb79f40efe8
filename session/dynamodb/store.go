// Package dynamodb keeps sessions in an Amazon DynamoDB table, one item per session. Start reading at Store, which New creates.
//
// An update is a conditional UpdateItem, and a renewal is a transaction of two items. The partition key is the session's id, so
// that the load is distributed evenly. The store never uses Scan.
//
// A server needs the IAM actions GetItem, BatchGetItem, PutItem and UpdateItem on the table, and Query on its index. They also
// cover the transactions.
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

// maxBytes leaves room for the other attributes of an item below the limit of 400 KB (409,600 bytes including names; Amazon
// DynamoDB Developer Guide, "Quotas"). If an item is larger nevertheless, DynamoDB rejects it.
const maxBytes = 400_000

// An API has the operations of a DynamoDB client that the Store uses.
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
	// Table is the name of the table.
	Table string
	// EventualReads makes Load use eventually consistent reads, which cost half as much. The store then doesn't promise
	// ReadYourWrites. A cache such as DAX needs it: see package dax.
	EventualReads bool
	// Replicated declares that the table is a replica of a global table, to which other regions write too: see Promises.OneRegion.
	// Consistent reads and conditions of writes apply only to the replica.
	Replicated bool
	// BatchReads makes Load read in batches under load: while two requests for consistent reads are in flight, further reads wait
	// for up to 1 ms and are sent together with BatchGetItem. Under load that takes half of the CPU time or less, and costs the
	// same. A read in a batch takes as long as the slowest of the batch. BatchReads has no effect with EventualReads.
	BatchReads bool
}

// Store keeps sessions in a table. Create one with New.
type Store struct {
	api     API
	options Options
	reads   *batchedReads
}

var _ session.UserStore = (*Store)(nil)

// New returns a Store on a table with the keys and the index that CreateTable creates.
func New(api API, options Options) *Store {
	s := &Store{api: api, options: options}
	s.reads = newBatchedReads(s)
	return s
}

// Promises declares every promise, with two exceptions: ReadYourWrites is false with EventualReads, and OneRegion is true with
// Replicated. ListsByUser relies on an index: see UserSessions.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "dynamodb", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: !s.options.EventualReads,
		AtomicRenewal: true, OneRegion: s.options.Replicated, ListsByUser: true, Mutable: true, MaxBytes: maxBytes,
	}
}

// Ping reads an item that doesn't exist. DescribeTable would need one more permission.
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
		ConditionExpression:      aws.String(itemAbsent),
		ExpressionAttributeNames: map[string]string{"#id": attributeID},
	}
	_, err := retryNotApplied(ctx, func() (*dynamodb.PutItemOutput, error) { return s.api.PutItem(ctx, input, noRetry) })
	return tooLargeError(err)
}

// itemAbsent is the condition that the item doesn't exist.
const itemAbsent = "attribute_not_exists(#id)"

// Load returns a live session. The read is consistent unless Options.EventualReads is set.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	it, err := s.read(ctx, id)
	if err != nil {
		return session.Record{}, err
	}
	return decodeOf(id, it, now)
}

// read returns the stored item of an id for Load.
func (s *Store) read(ctx context.Context, id session.ID) (item, error) {
	if s.options.BatchReads && !s.options.EventualReads {
		return s.reads.get(ctx, id)
	}
	return s.get(ctx, id, !s.options.EventualReads)
}

// loadConsistent does the same as Load with a single consistent read.
func (s *Store) loadConsistent(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	it, err := s.get(ctx, id, true)
	if err != nil {
		return session.Record{}, err
	}
	return decodeOf(id, it, now)
}

// get returns the stored item of an id, or nil if there is none.
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

// live is the condition that the session is live. It is false for items without these attributes, such as tombstones.
const live = "#expires > :now AND #ttl > :now"

// End replaces a session by its tombstone, which is not in the index.
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
	output, err := retryNotApplied(ctx, func() (*dynamodb.PutItemOutput, error) { return s.api.PutItem(ctx, input, noRetry) })
	if err != nil {
		return session.Record{}, replyError(err, id, options.Now, nil)
	}
	return decodeOf(id, output.Attributes, options.Now)
}

// endToMove implements End with EndOptions.Moving.
func (s *Store) endToMove(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	change := tombstone(keptForMove, now)
	input := &dynamodb.UpdateItemInput{
		TableName: &s.options.Table, Key: key(id),
		UpdateExpression: &change.expression, ConditionExpression: aws.String(live),
		ExpressionAttributeNames: change.names, ExpressionAttributeValues: change.values,
		ReturnValues:                        types.ReturnValueAllOld,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	output, err := retryNotApplied(ctx, func() (*dynamodb.UpdateItemOutput, error) { return s.api.UpdateItem(ctx, input, noRetry) })
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
	return session.Record{}, replyError(err, id, now, nil)
}

// An updateExpression is an update expression with its attribute names and values.
type updateExpression struct {
	expression string
	names      map[string]string
	values     item
}

// tombstone returns the update, under the condition live, that ends a session and keeps its last state.
func tombstone(kept string, now time.Time) updateExpression {
	return updateExpression{
		"SET #ended = :until, #kept = :kept, #keptExpires = #expires, #keptIdle = #ttl, #ttl = :until " +
			"REMOVE #expires, #owner, #position",
		map[string]string{
			"#ended": attributeEnded, "#kept": attributeKept, "#keptExpires": attributeKeptExpires, "#keptIdle": attributeKeptIdle,
			"#expires": attributeExpires, "#ttl": attributeTTL, "#owner": attributeOwner, "#position": attributePosition,
		},
		item{":now": number(now.Unix()), ":until": seconds(now.Add(session.EndedFor)), ":kept": text(kept)},
	}
}

// replyError turns the error of an update with the given changes into an error of package session if it is a reply and not a
// failure.
func replyError(err error, id session.ID, now time.Time, changes []session.Change) error {
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return tooLargeError(err)
	}
	record, err := decodeOf(id, failed.Item, now)
	if err != nil {
		return err
	}
	// The session is live, so the condition of a change has failed.
	if _, err := session.Apply(record.Values, changes); err != nil {
		return err
	}
	// DAX doesn't return the item on which the condition failed, and the item that was read instead has changed meanwhile.
	for _, c := range changes {
		if c.Op == session.OpRemove && c.Value != "" {
			return session.ErrChanged
		}
	}
	return session.ErrCounter
}

// tooLargeError returns session.ErrTooLarge if err says that the item is too large, else err. An expression that is too large has
// a similar message.
func tooLargeError(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "ValidationException" && itemTooLarge(api.ErrorMessage()) {
		return session.ErrTooLarge
	}
	return err
}

// itemTooLarge reports whether message is "Item size has exceeded the maximum allowed size" or "Item size to update has
// exceeded …".
func itemTooLarge(message string) bool {
	return strings.Contains(message, "Item size") && strings.Contains(message, "exceeded the maximum allowed size")
}
