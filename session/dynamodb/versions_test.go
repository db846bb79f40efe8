package dynamodb_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// Items and requests of the version before Renew. Servers of both versions run side by side during a
// deployment.

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// itemBefore returns the item that Create of the earlier version stored. All values are numbers.
func itemBefore(id session.ID, r session.Record) map[string]types.AttributeValue {
	values := map[string]types.AttributeValue{}
	for key, value := range r.Values {
		values[key] = &types.AttributeValueMemberN{Value: value}
	}
	owner := sha256.Sum256([]byte(r.User))
	return map[string]types.AttributeValue{
		"id": text(id.String()), "created": number(r.Created.UnixMilli()), "expires": number(r.Expires.Unix()),
		"ttl": number(r.IdleExpires.Unix()), "values": &types.AttributeValueMemberM{Value: values}, "agent": text(r.UserAgent),
		"user": text(r.User), "owner": text("user:" + base64.RawURLEncoding.EncodeToString(owner[:])), "position": number(r.Created.UnixMilli()),
	}
}

// endedBefore returns the item that End of the earlier version stored.
func endedBefore(id session.ID, now time.Time) map[string]types.AttributeValue {
	until := number(now.Add(2 * time.Minute).Unix())
	return map[string]types.AttributeValue{"id": text(id.String()), "ended": until, "ttl": until}
}

// readBefore reads an item as Load of the earlier version did. It returns nil for a live session.
func readBefore(it map[string]types.AttributeValue, now time.Time) error {
	number := func(name string) int64 {
		n, _ := it[name].(*types.AttributeValueMemberN)
		if n == nil {
			return 0
		}
		i, _ := strconv.ParseInt(n.Value, 10, 64)
		return i
	}
	_, ended := it["ended"]
	switch {
	case len(it) == 0:
		return session.ErrNotFound
	case ended && now.Before(time.Unix(number("ended"), 0)):
		return session.ErrEnded
	case ended || !now.Before(time.Unix(number("expires"), 0)) || !now.Before(time.Unix(number("ttl"), 0)):
		return session.ErrNotFound
	}
	return nil
}

// updateBefore returns the request that Update of the earlier version sent for an addition to the key n.
func updateBefore(t *testing.T, client *sdk.Client, id session.ID, now time.Time) error {
	_, err := client.UpdateItem(t.Context(), &sdk.UpdateItemInput{
		TableName: aws.String(table), Key: key(id),
		UpdateExpression: aws.String("SET #ttl = :idle, #values.#k0 = if_not_exists(#values.#k0, :zero) + :v0"),
		ConditionExpression: aws.String("#expires > :now AND #ttl > :now AND " +
			"(attribute_not_exists(#values.#k0) OR #values.#k0 BETWEEN :low0 AND :high0)"),
		ExpressionAttributeNames: map[string]string{"#expires": "expires", "#ttl": "ttl", "#values": "values", "#k0": "n"},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":now": number(now.Unix()), ":idle": number(now.Add(time.Hour).Unix()), ":zero": number(0), ":v0": number(1),
			":low0": number(-session.MaxCounter), ":high0": number(session.MaxCounter - 1),
		},
	})
	return err
}

// endBefore returns the request that End of the earlier version sent.
func endBefore(t *testing.T, client *sdk.Client, id session.ID, now time.Time) error {
	_, err := client.PutItem(t.Context(), &sdk.PutItemInput{
		TableName: aws.String(table), Item: endedBefore(id, now),
		ConditionExpression:       aws.String("#expires > :now AND #ttl > :now"),
		ExpressionAttributeNames:  map[string]string{"#expires": "expires", "#ttl": "ttl"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":now": number(now.Unix())},
	})
	return err
}

func testVersions(t *testing.T, server *storeserver.Server) {
	_, store, client := openNetwork(t, server)
	ids := byte(0)
	id := func() session.ID { ids++; return session.ID{ids} }
	put := func(t *testing.T, it map[string]types.AttributeValue) {
		t.Helper()
		must.Get(client.PutItem(t.Context(), &sdk.PutItemInput{TableName: aws.String(table), Item: it}))(t)
	}
	values := map[string]string{"n": "7"}
	failed := func(err error) bool {
		var failed *types.ConditionalCheckFailedException
		return errors.As(err, &failed)
	}

	t.Run("a session with its own idle timeout", func(t *testing.T) {
		remembered, r := id(), record("ada", values)
		r.IdleTimeout = 40 * time.Minute
		must.Succeed(t, store.Create(t.Context(), remembered, r))
		must.Succeed(t, updateBefore(t, client, remembered, start)) // extends by the server's timeout, and keeps the session's
		got := must.Get(store.Update(t.Context(), remembered, session.Update{Now: start, IdleExpires: start.Add(10 * time.Minute)}))(t)
		if got.IdleTimeout != r.IdleTimeout || !got.IdleExpires.Equal(start.Add(40*time.Minute)) || got.Values["n"] != "8" {
			t.Errorf("after an update of each version: %+v", got)
		}
	})

	for name, end := range map[string]func(old session.ID) (time.Time, error){
		"ended": func(old session.ID) (time.Time, error) {
			_, err := store.End(t.Context(), old, session.EndOptions{Now: start})
			return start, err
		},
		"moved": func(old session.ID) (time.Time, error) {
			_, err := store.End(t.Context(), old, session.EndOptions{Now: start, Moving: true})
			return start, err
		},
		"renewed": func(old session.ID) (time.Time, error) {
			r := renewal(old, id(), nil)
			_, err := store.Renew(t.Context(), r)
			return r.Now, err
		},
	} {
		t.Run("the version before leaves alone what is "+name, func(t *testing.T) {
			old := id()
			put(t, itemBefore(old, record("ada", values)))
			at := must.Get(end(old))(t)
			it := stored(t, client, old)
			for after, want := range map[time.Duration]error{
				0: session.ErrEnded, session.EndedFor - time.Second: session.ErrEnded, session.EndedFor: session.ErrNotFound, time.Hour: session.ErrNotFound,
			} {
				if err := readBefore(it, at.Add(after)); !errors.Is(err, want) {
					t.Errorf("read %v later: %v, want %v", after, err, want)
				}
			}
			for _, clock := range []time.Duration{-time.Hour, -session.MaxClockSkew, 0, session.MaxClockSkew, session.EndedFor, time.Hour} {
				if err := updateBefore(t, client, old, at.Add(clock)); !failed(err) {
					t.Errorf("update with a clock %v ahead: %v", clock, err)
				}
				if err := endBefore(t, client, old, at.Add(clock)); !failed(err) {
					t.Errorf("end with a clock %v ahead: %v", clock, err)
				}
			}
			for _, name := range []string{"owner", "position"} {
				if _, listed := it[name]; listed {
					t.Errorf("the tombstone is in the index: %s", name)
				}
			}
		})
	}
	t.Run("the version before reads and changes what was renewed", func(t *testing.T) {
		old := id()
		put(t, itemBefore(old, record("ada", values)))
		r := renewal(old, id(), nil)
		must.Get(store.Renew(t.Context(), r))(t)
		want := itemBefore(r.New, r.Renewed(record("ada", values)))
		if got := stored(t, client, r.New); fmt.Sprint(attributeText(got)) != fmt.Sprint(attributeText(want)) {
			t.Errorf("got  %v\nwant %v", attributeText(got), attributeText(want))
		}
		must.Succeed(t, updateBefore(t, client, r.New, r.Now))
		must.Succeed(t, endBefore(t, client, r.New, r.Now))
	})
	t.Run("sessions of the version before", func(t *testing.T) {
		old := id()
		put(t, itemBefore(old, record("bob", values)))
		got, err := store.Update(t.Context(), old, update(add("n", 1)))
		if err != nil || got.Values["n"] != "8" {
			t.Fatalf("got %v, %v", got, err)
		}
		page, err := store.UserSessions(t.Context(), "bob", session.PageQuery{Now: start, Limit: 10})
		if err != nil || len(page.Sessions) != 1 || page.Sessions[0].ID != old {
			t.Errorf("got %v, %v", page, err)
		}
		r := renewal(old, id(), nil)
		r.KeepValues = true
		got, err = store.Renew(t.Context(), r)
		if err != nil || !maps.Equal(got.Values, map[string]string{"n": "8"}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("what the version before has ended", func(t *testing.T) {
		old := id()
		put(t, endedBefore(old, start))
		_, err := store.End(t.Context(), old, session.EndOptions{Now: start, Moving: true})
		if !errors.Is(err, session.ErrEnded) {
			t.Errorf("end: got %v", err)
		}
		if _, err := store.Renew(t.Context(), renewal(old, id(), nil)); !errors.Is(err, session.ErrEnded) {
			t.Errorf("renew: got %v", err)
		}
		if err := store.Create(t.Context(), old, record("", nil)); err == nil {
			t.Error("Create succeeded with the id of an ended session, want an error")
		}
	})
}

// plain makes attributes comparable.
func attributeText(it map[string]types.AttributeValue) map[string]any {
	texts := map[string]any{}
	for name, value := range it {
		switch value := value.(type) {
		case *types.AttributeValueMemberM:
			texts[name] = attributeText(value.Value)
		case *types.AttributeValueMemberN:
			texts[name] = "number " + value.Value
		case *types.AttributeValueMemberS:
			texts[name] = "text " + value.Value
		default:
			texts[name] = fmt.Sprintf("%T", value)
		}
	}
	return texts
}
