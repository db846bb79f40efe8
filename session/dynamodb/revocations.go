package dynamodb

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/revocation"
)

// The keys and attributes of the table of revocations. Its sort key is a byte for the kind of an entry and the id. All entries
// have one partition key, so that one query reads the list. That limits a list to 500 new entries per second.
const (
	// RevocationListKey, RevocationIDKey and RevocationTimeKey are the names of the table's partition key (a string), its sort
	// key (binary), and the sort key of its local secondary index RevocationIndex (a number). The index includes
	// RevocationTTLAttribute, by which DynamoDB deletes expired entries.
	RevocationListKey      = "list"
	RevocationIDKey        = "id"
	RevocationTimeKey      = "at"
	RevocationTTLAttribute = "ttl"
	RevocationIndex        = "by-time"

	revocationList    = "revoked" // the value of the partition key
	revocationSession = 's'
	revocationUser    = 'u'
)

// Revocations is a list of revoked sessions in a table of its own, for package revocation. All reads are consistent. A server
// needs the IAM actions GetItem and PutItem on the table, and Query on its index. A global table's other regions see an entry
// only when it has been replicated.
type Revocations struct {
	api   API
	table string
}

var _ revocation.List = (*Revocations)(nil)

// NewRevocations returns the list in a table with the keys and the index that CreateRevocationTable creates. The API must not
// be that of DAX, whose reads are not consistent.
func NewRevocations(api API, table string) *Revocations { return &Revocations{api, table} }

// CreateRevocationTable creates a table for Revocations, for DynamoDB Local. It returns nil if the table exists. On AWS, use
// infrastructure as code to create it with the same keys and index, and with RevocationTTLAttribute.
func CreateRevocationTable(ctx context.Context, client *dynamodb.Client, table string) error {
	partition := types.KeySchemaElement{AttributeName: aws.String(RevocationListKey), KeyType: types.KeyTypeHash}
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   aws.String(table),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(RevocationListKey), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(RevocationIDKey), AttributeType: types.ScalarAttributeTypeB},
			{AttributeName: aws.String(RevocationTimeKey), AttributeType: types.ScalarAttributeTypeN},
		},
		KeySchema: []types.KeySchemaElement{
			partition, {AttributeName: aws.String(RevocationIDKey), KeyType: types.KeyTypeRange},
		},
		LocalSecondaryIndexes: []types.LocalSecondaryIndex{{
			IndexName: aws.String(RevocationIndex),
			KeySchema: []types.KeySchemaElement{
				partition, {AttributeName: aws.String(RevocationTimeKey), KeyType: types.KeyTypeRange},
			},
			Projection: &types.Projection{
				ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{RevocationTTLAttribute},
			},
		}},
	})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create table %s: %w", table, err)
	}
	return nil
}

// Add stores an entry with a conditional PutItem. A further cut-off of a user takes two.
func (r *Revocations) Add(ctx context.Context, entry revocation.Entry) (revocation.Entry, error) {
	condition, values := "attribute_not_exists(#id)", item(nil)
	names := map[string]string{"#id": RevocationIDKey}
	for attempt := range maxAttempts {
		input := &dynamodb.PutItemInput{
			TableName: &r.table, Item: encodeRevocation(entry),
			ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}
		_, err := retryNotApplied(ctx, func() (*dynamodb.PutItemOutput, error) { return r.api.PutItem(ctx, input, noRetry) })
		var failed *types.ConditionalCheckFailedException
		if !errors.As(err, &failed) {
			return entry, err
		}
		earlier, err := decodeRevocation(failed.Item)
		if err != nil || !entry.CutOff {
			return earlier, err
		}
		if !entry.At.After(earlier.At) {
			entry.At = earlier.At.Add(time.Microsecond)
		}
		if entry.Expires.Before(earlier.Expires) {
			entry.Expires = earlier.Expires
		}
		condition, values = "#at = :earlier", item{":earlier": number(earlier.At.UnixMicro())}
		names = map[string]string{"#at": RevocationTimeKey}
		if attempt > 0 && !pause(ctx, attempt) {
			return entry, ctx.Err()
		}
	}
	return entry, errors.New("other servers change the cut-off of this user as fast as this one")
}

// CutOff reads the latest cut-off of a user with one GetItem.
func (r *Revocations) CutOff(ctx context.Context, user session.ID) (time.Time, error) {
	output, err := r.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &r.table, Key: revocationKey(true, user), ConsistentRead: aws.Bool(true),
	})
	if err != nil || output.Item == nil {
		return time.Time{}, err
	}
	entry, err := decodeRevocation(output.Item)
	return entry.At, err
}

// Page reads entries with one Query of the index. The cursor is the key of the page's last entry in base64url.
func (r *Revocations) Page(ctx context.Context, since time.Time, cursor string) ([]revocation.Entry, string, error) {
	from := int64(0)
	if !since.IsZero() {
		from = since.UnixMicro()
	}
	input := &dynamodb.QueryInput{
		TableName: &r.table, IndexName: aws.String(RevocationIndex), ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#list = :list AND #at >= :since"),
		ExpressionAttributeNames:  map[string]string{"#list": RevocationListKey, "#at": RevocationTimeKey},
		ExpressionAttributeValues: item{":list": text(revocationList), ":since": number(from)},
		Limit:                     aws.Int32(session.MaxPage),
	}
	if cursor != "" {
		key, err := parseRevocationCursor(cursor)
		if err != nil {
			return nil, "", err
		}
		input.ExclusiveStartKey = key
	}
	output, err := r.api.Query(ctx, input)
	if err != nil {
		return nil, "", err
	}
	entries := make([]revocation.Entry, len(output.Items))
	for i, it := range output.Items {
		if entries[i], err = decodeRevocation(it); err != nil {
			return nil, "", err
		}
	}
	if output.LastEvaluatedKey == nil || len(entries) == 0 {
		return entries, "", nil
	}
	return entries, formatRevocationCursor(entries[len(entries)-1]), nil
}

func revocationKey(cutOff bool, id session.ID) item {
	kind := byte(revocationSession)
	if cutOff {
		kind = revocationUser
	}
	return item{
		RevocationListKey: text(revocationList),
		RevocationIDKey:   &types.AttributeValueMemberB{Value: append([]byte{kind}, id[:]...)},
	}
}

func encodeRevocation(entry revocation.Entry) item {
	it := revocationKey(entry.CutOff, entry.ID)
	it[RevocationTimeKey] = number(entry.At.UnixMicro())
	it[RevocationTTLAttribute] = number(entry.Expires.Add(session.MaxClockSkew).Unix())
	return it
}

func decodeRevocation(it item) (entry revocation.Entry, err error) {
	id, ok := it[RevocationIDKey].(*types.AttributeValueMemberB)
	if !ok || len(id.Value) != 1+len(entry.ID) {
		return entry, errors.New("an item of the table of revocations has no id")
	}
	var numbers [2]int64
	for i, name := range []string{RevocationTimeKey, RevocationTTLAttribute} {
		value, ok := it[name].(*types.AttributeValueMemberN)
		if !ok {
			return entry, fmt.Errorf("an item of the table of revocations has no number %q", name)
		}
		if numbers[i], err = strconv.ParseInt(value.Value, 10, 64); err != nil {
			return entry, fmt.Errorf("decode a revocation: %w", err)
		}
	}
	entry.CutOff, entry.ID = id.Value[0] == revocationUser, session.ID(id.Value[1:])
	entry.At, entry.Expires = time.UnixMicro(numbers[0]), time.Unix(numbers[1], 0).Add(-session.MaxClockSkew)
	return entry, nil
}

// cursorBytes is the length of a cursor before its encoding: the kind and the id of an entry, and its time.
const cursorBytes = 1 + len(session.ID{}) + 8

func formatRevocationCursor(last revocation.Entry) string {
	key := revocationKey(last.CutOff, last.ID)[RevocationIDKey].(*types.AttributeValueMemberB).Value
	at := uint64(last.At.UnixMicro()) // #nosec G115 -- parseRevocationCursor converts it back
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(key, at))
}

func parseRevocationCursor(cursor string) (item, error) {
	key, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(key) != cursorBytes {
		return nil, fmt.Errorf("cursor %q of a list: %w", cursor, session.ErrInvalid)
	}
	at := binary.BigEndian.Uint64(key[cursorBytes-8:])
	start := revocationKey(key[0] == revocationUser, session.ID(key[1:cursorBytes-8]))
	start[RevocationTimeKey] = number(int64(at)) // #nosec G115 -- formatRevocationCursor converted it
	return start, nil
}
