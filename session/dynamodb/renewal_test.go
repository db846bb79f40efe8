package dynamodb_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// testRenewals tests the requests of renewals, and renewals whose reply is lost.
func testRenewals(t *testing.T, server *storeserver.Server) {
	n, store, client := openNetwork(t, server)
	values := map[string]string{"n": "7", "theme": `"dark"`}
	ids := byte(0)
	id := func() session.ID { ids++; return session.ID{ids} }
	begin := func(t *testing.T) (session.ID, session.Record) {
		t.Helper()
		old := id()
		must.Succeed(t, store.Create(t.Context(), old, record("", values)))
		known := must.Get(store.Load(t.Context(), old, start))(t)
		n.reset()
		return old, known
	}
	expect := func(t *testing.T, got session.Record, err error, want map[string]string) {
		t.Helper()
		if err != nil || got.User != "ada" || !maps.Equal(got.Values, want) {
			t.Fatalf("got %v, %v, want the values %v", got, err, want)
		}
	}

	t.Run("what is known saves the read", func(t *testing.T) {
		old, known := begin(t)
		got, err := store.Renew(t.Context(), renewal(old, id(), &known))
		expect(t, got, err, values)
		if n.count("get") != 0 || n.count("transact") != 1 {
			t.Errorf("requests: %v, want one transaction", n.requests)
		}
	})
	t.Run("what is not known is read", func(t *testing.T) {
		old, _ := begin(t)
		got, err := store.Renew(t.Context(), renewal(old, id(), nil))
		expect(t, got, err, values)
		if n.count("get") != 1 || n.count("transact") != 1 {
			t.Errorf("requests: %v, want a read and a transaction", n.requests)
		}
	})
	t.Run("values in another spelling", func(t *testing.T) {
		old, known := begin(t)
		_, err := client.UpdateItem(t.Context(), &sdk.UpdateItemInput{
			TableName: aws.String(table), Key: key(old), UpdateExpression: aws.String("SET #v.n = :n"),
			ExpressionAttributeNames:  map[string]string{"#v": "values"},
			ExpressionAttributeValues: map[string]types.AttributeValue{":n": &types.AttributeValueMemberS{Value: "7"}},
		})
		must.Succeed(t, err)
		fresh := id()
		got, err := store.Renew(t.Context(), renewal(old, fresh, &known))
		expect(t, got, err, values)
		if n.count("get") != 1 || n.count("transact") != 2 {
			t.Errorf("requests: %v, want a transaction that fails, a read, and another transaction", n.requests)
		}
		stored := stored(t, client, fresh)["values"].(*types.AttributeValueMemberM).Value["n"]
		if _, ok := stored.(*types.AttributeValueMemberS); !ok {
			t.Errorf("the value was copied as %T, want its stored type", stored)
		}
	})
	t.Run("the reply is lost", func(t *testing.T) {
		for _, withKnown := range []bool{true, false} {
			old, known := begin(t)
			r := renewal(old, id(), nil)
			if withKnown {
				r.Known = &known
			}
			n.lose["transact"] = 1
			if _, err := store.Renew(t.Context(), r); !errors.Is(err, errLost) {
				t.Fatalf("got %v, want the failure", err)
			}
			got, err := store.Renew(t.Context(), r)
			expect(t, got, err, values)
		}
	})
	t.Run("repeated with what was known, after the new session has changed", func(t *testing.T) {
		old, known := begin(t)
		r := renewal(old, id(), &known)
		_, err := store.Renew(t.Context(), r)
		must.Succeed(t, err)
		_, err = store.Update(t.Context(), r.New, update(add("n", 1)))
		must.Succeed(t, err)
		got, err := store.Renew(t.Context(), r)
		expect(t, got, err, map[string]string{"n": "8", "theme": `"dark"`})
		_, err = store.End(t.Context(), r.New, session.EndOptions{Now: r.Now})
		must.Succeed(t, err)
		if _, err := store.Renew(t.Context(), r); !errors.Is(err, session.ErrEnded) {
			t.Errorf("after the new session has ended: got %v", err)
		}
	})
	t.Run("a second login whose reply is lost", func(t *testing.T) {
		old, known := begin(t)
		_, err := store.Renew(t.Context(), renewal(old, id(), &known))
		must.Succeed(t, err)
		r := renewal(old, id(), &known)
		n.lose["put"] = 1
		if _, err := store.Renew(t.Context(), r); !errors.Is(err, errLost) {
			t.Fatalf("got %v, want the failure", err)
		}
		got, err := store.Renew(t.Context(), r)
		expect(t, got, err, values)
	})
	t.Run("the session changes at every attempt, for a while", func(t *testing.T) {
		old, known := begin(t)
		changes := 3
		n.before = func(request string) {
			if request == "transact" && changes > 0 {
				changes--
				must.Get(store.Update(t.Context(), old, update(add("n", 1))))(t)
			}
		}
		got, err := store.Renew(t.Context(), renewal(old, id(), &known))
		expect(t, got, err, map[string]string{"n": "10", "theme": `"dark"`})
	})
	t.Run("it is ended meanwhile", func(t *testing.T) {
		old, known := begin(t)
		r := renewal(old, id(), &known)
		n.before = func(request string) {
			if request == "transact" {
				must.Get(store.End(t.Context(), old, session.EndOptions{Now: r.Now}))(t)
			}
		}
		if _, err := store.Renew(t.Context(), r); !errors.Is(err, session.ErrEnded) {
			t.Errorf("got %v", err)
		}
		if len(stored(t, client, r.New)) > 0 {
			t.Error("the new session exists, want none")
		}
	})
	t.Run("an item that becomes too large", func(t *testing.T) {
		large := map[string]string{}
		for i := range 130 {
			large[fmt.Sprintf("%03d", i)] = `"` + strings.Repeat("v", 3140) + `"`
		}
		n.reset()
		old := id()
		must.Succeed(t, store.Create(t.Context(), old, record("", large)))
		r := renewal(old, id(), nil)
		r.Record.UserAgent = strings.Repeat("a", 2000)
		if _, err := store.Renew(t.Context(), r); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
		if _, err := store.Load(t.Context(), r.Old, r.Now); err != nil {
			t.Errorf("the old session has ended, want it live: %v", err)
		}
	})
}

func key(id session.ID) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id.String()}}
}

// stored returns the item of an id.
func stored(t *testing.T, client *sdk.Client, id session.ID) map[string]types.AttributeValue {
	t.Helper()
	out, err := client.GetItem(t.Context(), &sdk.GetItemInput{TableName: aws.String(table), Key: key(id), ConsistentRead: aws.Bool(true)})
	must.Succeed(t, err)
	return out.Item
}
