package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	store "stateless-servers/session/dynamodb"
)

// mix returns the routes of ten requests of a client, in order.
func mix() [10]string {
	return [10]string{
		routeUntouched, routeRead, routeUntouched, routeRead, routeUntouched,
		routeWrite, routeUntouched, routeRead, routeUntouched, routeRead,
	}
}

// Units are the DynamoDB request units of a thousand requests of the mix.
type Units struct {
	Bytes         int           // approximate size of the session
	Interval      time.Duration // between two requests of a client
	Reads, Writes float64       // read and write units, as DynamoDB reports them (ReturnConsumedCapacity)
}

// EagerReads returns the read units of a library that loads the session in every request: one unit for every 4 KB.
func (u Units) EagerReads() float64 { return float64(1000 * ((u.Bytes + 4095) / 4096)) }

// EagerWrites returns the write units of a library that writes or touches the session in every request: one unit for every KB.
func (u Units) EagerWrites() float64 { return float64(1000 * ((u.Bytes + 1023) / 1024)) }

// unitSettings returns the sizes and intervals in the report. With short intervals the writes of the mix extend the session.
// With longer intervals reads must extend it too, in the worst case every read.
func unitSettings() (list []Units) {
	for _, bytes := range []int{300, 1500} {
		for _, interval := range []time.Duration{10 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 20 * time.Minute} {
			list = append(list, Units{Bytes: bytes, Interval: interval})
		}
	}
	return list
}

// count measures Reads and Writes: one client sends requests of the mix. The table must exist.
func (u *Units) count(ctx context.Context, endpoint string) error {
	// The mix repeats every ten requests, so a hundred requests are enough.
	const requests, perThousand = 100, 10
	m := &meter{Client: newDynamoDBClient(endpoint)}
	now := time.Now()
	options := ownOptions()
	options.Lifetime = 365 * 24 * time.Hour // longer than the whole sequence with any interval
	options.Now = func() time.Time { return now }
	l, err := openOwn(store.New(m, store.Options{Table: tableName}), func() {}, options)
	if err != nil {
		return err
	}
	handler := newHandler(padded{l, strings.Repeat("x", max(0, u.Bytes-250))})
	var cookies []*http.Cookie
	send := func(method, path string) error {
		request := httptest.NewRequestWithContext(ctx, method, path, nil)
		for _, cookie := range cookies {
			request.AddCookie(cookie)
		}
		recorder := httptest.NewRecorder()
		if handler.ServeHTTP(recorder, request); recorder.Code != http.StatusOK {
			return fmt.Errorf("count DynamoDB request units: %s: %s", path, recorder.Body)
		}
		cookies = append(cookies, recorder.Result().Cookies()...)
		return nil
	}
	if err := send(http.MethodPost, "/start"); err != nil {
		return err
	}
	m.reads, m.writes = 0, 0
	for i := range requests {
		now = now.Add(u.Interval)
		method, route := http.MethodGet, mix()[i%10]
		if route == routeWrite {
			method = http.MethodPost
		}
		if err := send(method, "/"+route); err != nil {
			return err
		}
	}
	u.Reads, u.Writes = perThousand*m.reads, perThousand*m.writes
	return nil
}

// padded is a library that starts every session with additional padding.
type padded struct {
	library
	padding string
}

func (p padded) Start(w http.ResponseWriter, r *http.Request) error {
	session.Key[string]("padding").Set(r.Context(), p.padding)
	return p.library.Start(w, r)
}

// A meter is a DynamoDB client that adds up the request units of its calls.
type meter struct {
	*dynamodb.Client
	reads, writes float64
}

var _ store.API = (*meter)(nil)

type option = func(*dynamodb.Options)

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
