// Package dynamodb keeps sessions in an Amazon DynamoDB table: an item a session, a conditional UpdateItem an update.
// Ids are the partition key, so that load spreads evenly. There is never a Scan.
//
// A server needs GetItem, PutItem, UpdateItem and DeleteItem on the table, and Query on its index.
package dynamodb

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"stateless-servers/app/session"
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
	once    func(*dynamodb.Options)
}

var _ session.UserStore = (*Store)(nil)

// New returns a Store on a table as CreateTable makes it.
func New(api API, options Options) *Store {
	return &Store{api: api, options: options, once: once()}
}

// Promises declares that every promise is kept, but read-your-writes only by consistent reads, and of replicas only in
// one region. The list of a user's
// sessions comes from an index that follows within moments: it may miss a login that has just happened.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "dynamodb", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: !s.options.EventualReads,
		OneRegion: s.options.Replicated, ByUser: true, Changes: true, MaxBytes: maxBytes,
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
	_, err := s.api.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.options.Table, Item: encode(id, record),
		ConditionExpression:      aws.String("attribute_not_exists(#id)"),
		ExpressionAttributeNames: map[string]string{"#id": attributeID},
	}, s.once)
	return refused(err)
}

// Load reads a session, consistently unless told otherwise.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.load(ctx, id, now, !s.options.EventualReads)
}

func (s *Store) load(ctx context.Context, id session.ID, now time.Time, consistent bool) (session.Record, error) {
	output, err := s.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.options.Table, Key: item{attributeID: text(id.String())}, ConsistentRead: &consistent,
	})
	if err != nil {
		return session.Record{}, err
	}
	return decodeOf(id, output.Item, now)
}

// live is the condition on a session that may be changed. It fails for items without these attributes.
const live = "#expires > :now AND #ttl > :now"

// Update applies the changes in one conditional UpdateItem.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	set := []string{"#ttl = :idle"}
	var remove []string
	condition := []string{live}
	names := map[string]string{"#expires": attributeExpires, "#ttl": attributeTTL}
	values := item{":now": number(u.Now.Unix()), ":idle": seconds(u.IdleExpires)}
	if len(u.Changes) > 0 {
		names["#values"] = attributeValues
	}
	for i, change := range u.Changes {
		n := strconv.Itoa(i)
		path := "#values.#k" + n
		names["#k"+n] = change.Key
		switch change.Op {
		case session.OpSet:
			set = append(set, path+" = :v"+n)
			values[":v"+n] = encodeValue(change.Value)
		case session.OpRemove:
			remove = append(remove, path)
		case session.OpAdd:
			// ADD works on top-level attributes only.
			set = append(set, path+" = if_not_exists("+path+", :zero) + :v"+n)
			condition = append(condition, "(attribute_not_exists("+path+") OR "+path+" BETWEEN :low"+n+" AND :high"+n+")")
			values[":v"+n], values[":zero"] = number(change.N), number(0)
			values[":low"+n] = number(max(-session.MaxCounter, -session.MaxCounter-change.N))
			values[":high"+n] = number(min(session.MaxCounter, session.MaxCounter-change.N))
		}
	}
	expression := "SET " + strings.Join(set, ", ")
	if len(remove) > 0 {
		expression += " REMOVE " + strings.Join(remove, ", ")
	}
	output, err := s.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.options.Table, Key: item{attributeID: text(id.String())},
		UpdateExpression: &expression, ConditionExpression: aws.String(strings.Join(condition, " AND ")),
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, s.once)
	if err != nil {
		return session.Record{}, answer(err, id, u.Now)
	}
	return decodeOf(id, output.Attributes, u.Now)
}

// End puts the memory of its end in the session's place, and so strikes it off the index.
func (s *Store) End(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	until := seconds(now.Add(session.EndedFor))
	output, err := s.api.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.options.Table,
		Item:      item{attributeID: text(id.String()), attributeEnded: until, attributeTTL: until},

		ConditionExpression:                 aws.String(live),
		ExpressionAttributeNames:            map[string]string{"#expires": attributeExpires, "#ttl": attributeTTL},
		ExpressionAttributeValues:           item{":now": number(now.Unix())},
		ReturnValues:                        types.ReturnValueAllOld,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, s.once)
	if err != nil {
		return session.Record{}, answer(err, id, now)
	}
	return decodeOf(id, output.Attributes, now)
}

// UserSessions asks the index, then reads each session: the index may be late.
func (s *Store) UserSessions(ctx context.Context, user string, now time.Time) ([]session.UserSession, error) {
	var list []session.UserSession
	input := &dynamodb.QueryInput{
		TableName: &s.options.Table, IndexName: aws.String(ownerIndex), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression:    aws.String("#owner = :owner"),
		ExpressionAttributeNames:  map[string]string{"#owner": attributeOwner},
		ExpressionAttributeValues: item{":owner": text(owner(user))},
	}
	for pages := dynamodb.NewQueryPaginator(s.api, input); pages.HasMorePages() && len(list) < session.MaxUserSessions; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, found := range page.Items {
			id, ok := session.ParseID(plain(found[attributeID]))
			if !ok {
				continue
			}
			record, err := s.load(ctx, id, now, true)
			if errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded) {
				continue
			}
			if err != nil {
				return nil, err
			}
			record.Values = nil
			list = append(list, session.UserSession{ID: id, Record: record})
		}
	}
	return list[:min(len(list), session.MaxUserSessions)], nil
}

// answer turns an error of an update into one of the package session, where it is an answer and no failure.
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

// refused recognizes that an item is too large.
func refused(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "ValidationException" && strings.Contains(api.ErrorMessage(), "exceeded the maximum allowed size") {
		return session.ErrTooLarge
	}
	return err
}
