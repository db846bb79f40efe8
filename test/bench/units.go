package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	store "stateless-servers/session/dynamodb"
)

// mix is what ten requests of a visitor do.
var mix = [10]string{
	routeUntouched, routeRead, routeUntouched, routeRead, routeUntouched,
	routeWrite, routeUntouched, routeRead, routeUntouched, routeRead,
}

// A Units is what a number of requests of the mix cost on DynamoDB, as it reports them itself (ReturnConsumedCapacity).
type Units struct {
	Bytes       int           // size of the session, about
	Pace        time.Duration // between two requests of a visitor
	OwnReads    float64       // read units per thousand requests, of app/session
	OwnWrites   float64       // write units
	EagerReads  float64       // of a library that loads and touches the session in every request
	EagerWrites float64
}

// unitSettings are the sizes and paces that the report shows. A quick visitor's own writes extend the session; a slower
// one's reads have to, and in the worst case all of them.
func unitSettings(yield func(bytes int, pace time.Duration) bool) {
	for _, bytes := range []int{300, 1500} {
		for _, pace := range []time.Duration{time.Second, 10 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute} {
			if !yield(bytes, pace) {
				return
			}
		}
	}
}

// countUnits has one visitor send the mix, with a session of about that many bytes in a table that exists.
func countUnits(ctx context.Context, endpoint string, bytes int, pace time.Duration) (Units, error) {
	u := Units{Bytes: bytes, Pace: pace}
	if err := u.count(ctx, &meter{Client: newDynamoDBClient(endpoint)}); err != nil {
		return u, fmt.Errorf("count DynamoDB's units: %w", err)
	}
	return u, nil
}

func (u *Units) count(ctx context.Context, m *meter) error {
	// The mix repeats itself, so that a hundred requests cost a tenth of a thousand.
	const requests, perThousand = 100, 10
	now := time.Now()
	options := ownOptions()
	options.Lifetime = 365 * 24 * time.Hour // longer than the requests take at any pace
	options.Now = func() time.Time { return now }
	l, err := openOwn(store.New(m, store.Options{Table: tableName}), func() {}, options)
	if err != nil {
		return err
	}
	handler := newHandler(l, newGate())
	started := httptest.NewRecorder()
	handler.ServeHTTP(started, httptest.NewRequestWithContext(ctx, http.MethodPost, "/start", nil))
	cookies := started.Result().Cookies()
	if len(cookies) != 1 {
		return fmt.Errorf("start a session: %s", started.Body)
	}
	id := hashedID(cookies[0].Value)
	if err := m.pad(ctx, id, u.Bytes); err != nil {
		return err
	}

	m.take(0)
	for i := range requests {
		now = now.Add(u.Pace)
		route := mix[i%len(mix)]
		method := http.MethodGet
		if route == routeWrite {
			method = http.MethodPost
		}
		request := httptest.NewRequestWithContext(ctx, method, "/"+route, nil)
		request.AddCookie(cookies[0])
		answered := httptest.NewRecorder()
		handler.ServeHTTP(answered, request)
		if answered.Code != http.StatusOK {
			return fmt.Errorf("%s: %s", route, answered.Body)
		}
	}
	u.OwnReads, u.OwnWrites = m.take(perThousand)

	for i := range requests {
		if err := m.eager(ctx, id, mix[i%len(mix)] == routeWrite); err != nil {
			return err
		}
	}
	u.EagerReads, u.EagerWrites = m.take(perThousand)
	return nil
}

// A meter adds up the units that DynamoDB reports for the calls through it.
type meter struct {
	*dynamodb.Client
	reads, writes float64
}

var _ store.API = (*meter)(nil)

type option = func(*dynamodb.Options)

// take returns the units since it was last called, times a factor.
func (m *meter) take(factor float64) (reads, writes float64) {
	reads, writes = factor*m.reads, factor*m.writes
	m.reads, m.writes = 0, 0
	return reads, writes
}

func (m *meter) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...option) (*dynamodb.GetItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.GetItem(ctx, in, o...)
	if err == nil {
		m.reads += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *meter) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...option) (*dynamodb.UpdateItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.UpdateItem(ctx, in, o...)
	if err == nil {
		m.writes += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *meter) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...option) (*dynamodb.PutItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.PutItem(ctx, in, o...)
	if err == nil {
		m.writes += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

// pad gives the item about that many bytes.
func (m *meter) pad(ctx context.Context, id types.AttributeValue, bytes int) error {
	_, err := m.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(tableName), Key: map[string]types.AttributeValue{"id": id},
		UpdateExpression:         aws.String("SET #values.padding = :padding"),
		ExpressionAttributeNames: map[string]string{"#values": "values"},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":padding": text(`"` + strings.Repeat("x", max(0, bytes-250)) + `"`),
		},
	})
	return err
}

// eager does what express-session with connect-dynamodb does for a request: it reads the session, and then writes it if
// it changed, and else touches it.
func (m *meter) eager(ctx context.Context, id types.AttributeValue, changed bool) error {
	key := map[string]types.AttributeValue{"id": id}
	read, err := m.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(tableName), Key: key, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return err
	}
	if changed {
		_, err = m.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(tableName), Item: read.Item})
		return err
	}
	_, err = m.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(tableName), Key: key, UpdateExpression: aws.String("SET #ttl = :ttl"),
		ExpressionAttributeNames:  map[string]string{"#ttl": "ttl"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":ttl": read.Item["ttl"]},
	})
	return err
}
