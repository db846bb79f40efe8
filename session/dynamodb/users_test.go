package dynamodb_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// An index lags behind the table: it replies to every query as it did the first time, until it is released.
type index struct {
	dynamodb.API
	held *sdk.QueryOutput
}

func (i *index) Query(ctx context.Context, in *sdk.QueryInput, o ...option) (*sdk.QueryOutput, error) {
	if i.held != nil {
		return i.held, nil
	}
	out, err := i.API.Query(ctx, in, o...)
	i.held = out
	return out, err
}

// A batcher processes only a few keys of each BatchGetItem.
type batcher struct {
	dynamodb.API
	few      int
	requests int
}

func (b *batcher) BatchGetItem(ctx context.Context, in *sdk.BatchGetItemInput, o ...option) (*sdk.BatchGetItemOutput, error) {
	b.requests++
	wanted := in.RequestItems[table]
	if !aws.ToBool(wanted.ConsistentRead) {
		return nil, errors.New("the batch doesn't read consistently")
	}
	rest := wanted
	few := min(b.few, len(wanted.Keys))
	wanted.Keys, rest.Keys = wanted.Keys[:few], wanted.Keys[few:]
	out := &sdk.BatchGetItemOutput{}
	if few > 0 {
		var err error
		out, err = b.API.BatchGetItem(ctx, &sdk.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{table: wanted}}, o...)
		if err != nil {
			return nil, err
		}
	}
	if len(rest.Keys) > 0 {
		out.UnprocessedKeys = map[string]types.KeysAndAttributes{table: rest}
	}
	return out, nil
}

func testUserSessions(t *testing.T, server *storeserver.Server) {
	_, store, client := openNetwork(t, server)
	ids := byte(0)
	begin := func(t *testing.T, user string, age time.Duration) session.ID {
		t.Helper()
		ids++
		record := record(user, map[string]string{"n": "1"})
		record.Created = start.Add(-age)
		must.Succeed(t, store.Create(t.Context(), session.ID{ids}, record))
		return session.ID{ids}
	}
	list := func(t *testing.T, store session.UserStore, user string, want ...session.ID) {
		t.Helper()
		page := must.Get(store.UserSessions(t.Context(), user, session.PageQuery{Now: start, Limit: 1000}))(t)
		var got []session.ID
		for _, s := range page.Sessions {
			got = append(got, s.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}

	t.Run("an index that lags behind", func(t *testing.T) {
		late := &index{API: client}
		lagging := dynamodb.New(late, dynamodb.Options{Table: table})
		older, ended, renewed := begin(t, "ada", 3*time.Second), begin(t, "ada", 2*time.Second), begin(t, "ada", time.Second)
		list(t, lagging, "ada", renewed, ended, older)
		must.Get(store.End(t.Context(), ended, session.EndOptions{Now: start}))(t)
		fresh := session.ID{200}
		must.Get(store.Renew(t.Context(), renewal(renewed, fresh, nil)))(t)
		list(t, lagging, "ada", older) // it has no ended session, and misses the newest
		late.held = nil
		list(t, lagging, "ada", fresh, older)
	})
	t.Run("keys that are left for later", func(t *testing.T) {
		var want []session.ID
		for age := range 10 {
			want = append(want, begin(t, "bob", time.Duration(age)*time.Second))
		}
		slow := &batcher{API: client, few: 3}
		list(t, dynamodb.New(slow, dynamodb.Options{Table: table}), "bob", want...)
		if slow.requests != 4 {
			t.Errorf("%d requests, want 4", slow.requests)
		}
	})
	t.Run("a cursor at a session that is gone", func(t *testing.T) {
		newest, middle, oldest := begin(t, "cyd", 0), begin(t, "cyd", time.Second), begin(t, "cyd", 2*time.Second)
		page, err := store.UserSessions(t.Context(), "cyd", session.PageQuery{Now: start, Limit: 2})
		if err != nil || len(page.Sessions) != 2 || page.Sessions[0].ID != newest || page.Sessions[1].ID != middle {
			t.Fatalf("got %v, %v", page, err)
		}
		_, err = store.End(t.Context(), middle, session.EndOptions{Now: start})
		must.Succeed(t, err)
		page, err = store.UserSessions(t.Context(), "cyd", session.PageQuery{Now: start, Limit: 2, Cursor: page.Next})
		if err != nil || len(page.Sessions) != 1 || page.Sessions[0].ID != oldest || page.Next != "" {
			t.Fatalf("got %v, %v", page, err)
		}
	})
	t.Run("cursors that nobody got", func(t *testing.T) {
		id := session.ID{1}.String()
		for _, cursor := range []string{id, "1", "1 ", " " + id, "+1 " + id, "01 " + id, "1.5 " + id, "1  " + id, "1 " + id + " ", "1 " + id + "A",
			"9999999999999999999 " + id} {
			_, err := store.UserSessions(t.Context(), "cyd", session.PageQuery{Now: start, Limit: 2, Cursor: cursor})
			if !errors.Is(err, session.ErrInvalid) {
				t.Errorf("cursor %q: got %v", cursor, err)
			}
		}
	})
}

// If keys stay unprocessed, the call ends with the context.
func TestUnprocessedKeysEnd(t *testing.T) {
	for _, timeout := range []time.Duration{800 * time.Millisecond, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			never := &batcher{API: still{}}
			entry := map[string]types.AttributeValue{
				"id": &types.AttributeValueMemberS{Value: session.ID{1}.String()}, "position": &types.AttributeValueMemberN{Value: "1"},
			}
			api := &index{API: never, held: &sdk.QueryOutput{Items: []map[string]types.AttributeValue{entry}}}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			begin := time.Now()
			_, err := dynamodb.New(api, dynamodb.Options{Table: table}).UserSessions(ctx, "ada", session.PageQuery{Now: start, Limit: 10})
			if err == nil || time.Since(begin) > min(timeout, time.Minute) || never.requests < 5 {
				t.Errorf("%d requests in %v: got %v", never.requests, time.Since(begin), err)
			}
		})
	}
}

// testManySessions ends the sessions of a user who has 5,000, most of them expired, while the user logs in, renews and logs
// out.
func testManySessions(t *testing.T, server *storeserver.Server) {
	sessiontest.Long(t)
	_, store, client := openNetwork(t, server)
	const sessions, liveEvery, busy = 5000, 20, 20
	now := start
	idOf := func(kind byte, i int) session.ID { return session.ID{kind, byte(i >> 8), byte(i)} }
	began := func(age int) session.Record {
		r := record("ada", map[string]string{"n": "1"})
		r.Created = start.Add(-time.Duration(age) * time.Second)
		return r
	}
	const batch = 25
	together(sessions/batch, func(n int) {
		var puts []types.WriteRequest
		for i := batch * n; i < batch*(n+1); i++ {
			r := began(i)
			if i%liveEvery != 0 {
				r.IdleExpires = start
			}
			puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: itemBefore(idOf(1, i), r)}})
		}
		out, err := client.BatchWriteItem(t.Context(), &sdk.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: puts}})
		if err != nil || len(out.UnprocessedItems) > 0 {
			t.Errorf("create %d sessions: %v", batch, err)
		}
	})
	manager, err := session.New(store, session.Options{PlainHTTP: true, StoreTimeout: 10 * time.Second, Now: func() time.Time { return now }})
	must.Succeed(t, err)

	var mu sync.Mutex
	var before []session.ID // all ids of the sessions that started before
	for i := 0; i < sessions; i += liveEvery {
		before = append(before, idOf(1, i))
	}
	var others sync.WaitGroup
	for i := range busy {
		others.Go(func() { // renews
			id := idOf(1, i*7*liveEvery)
			for n := range 5 {
				r := session.Renewal{Old: id, New: idOf(2, 5*i+n), Now: now, Record: began(i * 7 * liveEvery)}
				if _, err := store.Renew(t.Context(), r); err != nil {
					if !errors.Is(err, session.ErrEnded) {
						t.Error(err)
					}
					return
				}
				id = r.New
				mu.Lock()
				before = append(before, id)
				mu.Unlock()
			}
		})
		others.Go(func() { // logs out
			_, err := store.End(t.Context(), idOf(1, (i*7+3)*liveEvery), session.EndOptions{Now: now})
			if err != nil && !errors.Is(err, session.ErrEnded) {
				t.Error(err)
			}
		})
		others.Go(func() { // logs in
			if err := store.Create(t.Context(), idOf(3, i), began(0)); err != nil {
				t.Error(err)
			}
		})
	}
	err = manager.EndUserSessions(t.Context(), "ada")
	others.Wait()
	must.Succeed(t, err)
	alive := 0
	together(len(before), func(i int) {
		if _, err := store.Load(t.Context(), before[i], now); !errors.Is(err, session.ErrEnded) {
			mu.Lock()
			alive++
			mu.Unlock()
		}
	})
	if alive > 0 {
		t.Errorf("%d of %d sessions that started before are live, want none", alive, len(before))
	}
	if len(before) <= sessions/liveEvery {
		t.Error("no session was renewed meanwhile")
	}
}

// together calls f for each i below n, a few at a time.
func together(n int, f func(i int)) {
	const goroutines = 8
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := g; i < n; i += goroutines {
				f(i)
			}
		})
	}
	group.Wait()
}
