package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	store "stateless-servers/session/dynamodb"
)

const tableName = "sessions"

// newDynamoDBClient returns the client of session/dynamodb. The endpoint serves plain HTTP: TLS would add the same cost to both
// sides of the comparison, and so make the library look cheaper than it is.
func newDynamoDBClient(endpoint string) *dynamodb.Client {
	return store.NewClient(awsConfig(), endpoint)
}

// newBareDynamoDBClient returns a client with the defaults of the SDK, except that it keeps a connection for each visitor.
func newBareDynamoDBClient(endpoint string) *dynamodb.Client {
	return dynamodb.NewFromConfig(awsConfig(), func(o *dynamodb.Options) {
		o.BaseEndpoint = aws.String(endpoint)
		o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = poolSize
		})
	})
}

func awsConfig() aws.Config {
	return aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
}

// bareDynamoDBCalls is the baseline on DynamoDB. It sends the same two calls as session/dynamodb, written by hand for the one
// counter, and decodes only that counter from the replies.
type bareDynamoDBCalls struct {
	noLibrary
	client *dynamodb.Client
}

func openBareDynamoDB(endpoint string) (library, error) {
	return &bareDynamoDBCalls{client: newBareDynamoDBClient(endpoint)}, nil
}

func (b *bareDynamoDBCalls) Start(w http.ResponseWriter, r *http.Request) error {
	secret, now := newSecret(), time.Now()
	values := map[string]types.AttributeValue{"visits": number(0)}
	for _, pair := range seed {
		values[pair.key] = text(pair.value)
	}
	_, err := b.client.PutItem(r.Context(), &dynamodb.PutItemInput{
		TableName: aws.String(tableName),
		Item: map[string]types.AttributeValue{
			"id": hashedID(secret), "created": number(now.UnixMilli()), "expires": number(now.Add(lifetime).Unix()),
			"ttl": number(now.Add(idleTimeout).Unix()), "agent": text(r.UserAgent()),
			"values": &types.AttributeValueMemberM{Value: values},
		},
	})
	if err != nil {
		return err
	}
	return setCookie(w, secret)
}

func (b *bareDynamoDBCalls) Visits(r *http.Request) (int64, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return 0, err
	}
	output, err := b.client.GetItem(r.Context(), &dynamodb.GetItemInput{
		TableName: aws.String(tableName), Key: map[string]types.AttributeValue{"id": hashedID(cookie.Value)},
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return 0, err
	}
	return visitsOf(output.Item)
}

func (b *bareDynamoDBCalls) Add(_ http.ResponseWriter, r *http.Request) (int64, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return 0, err
	}
	output, err := b.client.UpdateItem(context.WithoutCancel(r.Context()), addVisit(hashedID(cookie.Value), time.Now()))
	if err != nil {
		return 0, err
	}
	return visitsOf(output.Attributes)
}

// addVisit returns the update that session/dynamodb sends to add to one counter.
func addVisit(id types.AttributeValue, now time.Time) *dynamodb.UpdateItemInput {
	const most = 1<<53 - 1
	return &dynamodb.UpdateItemInput{
		TableName: aws.String(tableName), Key: map[string]types.AttributeValue{"id": id},
		UpdateExpression: aws.String("SET #ttl = :idle, #values.#k0 = if_not_exists(#values.#k0, :zero) + :v0"),
		ConditionExpression: aws.String("#expires > :now AND #ttl > :now AND " +
			"(attribute_not_exists(#values.#k0) OR #values.#k0 BETWEEN :low0 AND :high0)"),
		ExpressionAttributeNames: map[string]string{
			"#expires": "expires", "#ttl": "ttl", "#values": "values", "#k0": "visits",
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":now": number(now.Unix()), ":idle": number(now.Add(idleTimeout).Unix()), ":v0": number(1), ":zero": number(0),
			":low0": number(-most), ":high0": number(most - 1),
		},
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}

func visitsOf(item map[string]types.AttributeValue) (int64, error) {
	values, _ := item["values"].(*types.AttributeValueMemberM)
	if values == nil {
		return 0, nil // no such session
	}
	n, _ := values.Value["visits"].(*types.AttributeValueMemberN)
	if n == nil {
		return 0, errors.New("the item has no visit count")
	}
	return strconv.ParseInt(n.Value, 10, 64)
}

func hashedID(secret string) types.AttributeValue {
	sum := sha256.Sum256([]byte(secret))
	return text(base64.RawURLEncoding.EncodeToString(sum[:]))
}

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
