package leaderboard

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	itemPrefix = "score#" // the item's id is this prefix and the name
	partition  = "leaderboard"
	index      = "owner"
	// scoreLifetime is how long a score is stored. It bounds the size of the table, because DynamoDB deletes expired items.
	scoreLifetime = 30 * 24 * time.Hour
)

// A DynamoDBAPI is the part of the AWS SDK's client that DynamoDB uses.
type DynamoDBAPI interface {
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// DynamoDB is a Board in the table of the sessions. It has an item for each name, ordered by the index that also orders a
// user's sessions. The whole board is one partition of that index, which supports 1000 new best scores per second.
//
// The index is eventually consistent, so Top may miss a score that was just recorded. If several names have the score of
// the last place, DynamoDB chooses among them.
type DynamoDB struct {
	api   DynamoDBAPI
	table string
}

var _ Board = (*DynamoDB)(nil)

// NewDynamoDB returns a Board in a table with the partition key id (a string) and the index owner. The index has the
// partition key owner (a string) and the sort key position (a number), and projects keys only.
func NewDynamoDB(api DynamoDBAPI, table string) *DynamoDB { return &DynamoDB{api, table} }

// Record stores the score unless the name has an equal or better one.
func (d *DynamoDB) Record(ctx context.Context, name string, score int64) error {
	now := time.Now()
	_, err := d.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:        &d.table,
		Key:              map[string]types.AttributeValue{"id": text(itemPrefix + name)},
		UpdateExpression: aws.String("SET #owner = :partition, #position = :score, #ttl = :ttl"),
		// An expired score no longer counts, although DynamoDB may take days to delete it.
		ConditionExpression: aws.String("attribute_not_exists(#position) OR #position < :score OR #ttl < :now"),
		ExpressionAttributeNames: map[string]string{
			"#owner": "owner", "#position": "position", "#ttl": "ttl",
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":partition": text(partition), ":score": number(score),
			":ttl": number(now.Add(scoreLifetime).Unix()), ":now": number(now.Unix()),
		},
	})
	var notBetter *types.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &notBetter) {
		return fmt.Errorf("record a score: %w", err)
	}
	return nil
}

// Top returns the best entries.
func (d *DynamoDB) Top(ctx context.Context) ([]Entry, error) {
	output, err := d.api.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &d.table,
		IndexName:                 aws.String(index),
		KeyConditionExpression:    aws.String("#owner = :partition"),
		ExpressionAttributeNames:  map[string]string{"#owner": "owner"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":partition": text(partition)},
		ScanIndexForward:          aws.Bool(false),
		Limit:                     aws.Int32(MaxEntries),
	})
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	entries := make([]Entry, 0, len(output.Items))
	for _, item := range output.Items {
		id, _ := item["id"].(*types.AttributeValueMemberS)
		position, _ := item["position"].(*types.AttributeValueMemberN)
		if id == nil || position == nil {
			return nil, errors.New("read the leaderboard: an item of its index lacks id or position")
		}
		score, err := strconv.ParseInt(position.Value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the leaderboard: %w", err)
		}
		entries = append(entries, Entry{strings.TrimPrefix(id.Value, itemPrefix), score})
	}
	return best(entries), nil
}

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
