package dynamodb_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// testManyChanges updates more keys than fit into an expression.
func testManyChanges(t *testing.T, server *storeserver.Server) {
	n, store, client := openNetwork(t, server)
	ids := byte(0)
	begin := func(t *testing.T, values map[string]string) session.ID {
		t.Helper()
		ids++
		id := session.ID{ids}
		must.Succeed(t, store.Create(t.Context(), id, record("", values)))
		n.reset()
		return id
	}
	sum := func(t *testing.T, id session.ID, key string) string {
		t.Helper()
		got := must.Get(store.Load(t.Context(), id, start))(t)
		return got.Values[key]
	}

	t.Run("any number of changes of any kind", func(t *testing.T) {
		for name, change := range map[string]func(key string) session.Change{
			"set":    func(key string) session.Change { return set(key, `"v"`) },
			"add":    func(key string) session.Change { return add(key, 1) },
			"remove": func(key string) session.Change { return session.Change{Op: session.OpRemove, Key: key} },
		} {
			id, swaps := begin(t, nil), 0
			counts := []int{1, 40, 44, 48, 52, 100, 180, 188, 196, 200, 204, 260, 280, 285, 290, 300, 310, 400}
			for _, count := range counts {
				n.reset()
				var changes []session.Change
				for i := range count {
					changes = append(changes, change(fmt.Sprintf("%-128d", i)))
				}
				if _, err := store.Update(t.Context(), id, update(changes...)); err != nil {
					t.Fatalf("%s %d keys: %v", name, count, err)
				}
				swaps += n.count("get")
			}
			if swaps == 0 || swaps > len(counts)-2 {
				t.Errorf("%s: %d of %d updates took more than one request, want only those of many keys", name, swaps, len(counts))
			}
		}
	})
	t.Run("all additions count", func(t *testing.T) {
		id := begin(t, nil)
		const goroutines, updates = 4, 5
		var group sync.WaitGroup
		for range goroutines {
			group.Go(func() {
				for range updates {
					if _, err := store.Update(t.Context(), id, update(many(100)...)); err != nil {
						t.Error(err)
					}
					if _, err := store.Update(t.Context(), id, update(add("key 7", 1))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if got := sum(t, id, "key 7"); got != strconv.Itoa(2*goroutines*updates) {
			t.Errorf("the counter is %s, want %d", got, 2*goroutines*updates)
		}
		if got := sum(t, id, "key 99"); got != strconv.Itoa(goroutines*updates) {
			t.Errorf("the counter is %s, want %d", got, goroutines*updates)
		}
	})
	t.Run("a reply that is lost", func(t *testing.T) {
		id := begin(t, nil)
		n.lose["update"] = 1
		if _, err := store.Update(t.Context(), id, update(many(100)...)); !errors.Is(err, errLost) {
			t.Fatalf("got %v, want the failure", err)
		}
		if got := sum(t, id, "key 0"); n.count("update") != 1 || got != "1" {
			t.Errorf("sent %d times, and the sum is %s", n.count("update"), got)
		}
	})
	t.Run("what changes meanwhile", func(t *testing.T) {
		id := begin(t, map[string]string{"other": "1"})
		first := true
		n.before = func(request string) {
			if request == "update" && first {
				first = false
				must.Get(store.Update(t.Context(), id, update(add("other", 1), add("key 0", 1))))(t)
			}
		}
		got, err := store.Update(t.Context(), id, update(many(100)...))
		if err != nil || got.Values["other"] != "2" || got.Values["key 0"] != "2" {
			t.Errorf("got %v, %v", got.Values, err)
		}
	})
	t.Run("a session that ends meanwhile", func(t *testing.T) {
		id := begin(t, nil)
		first := true
		n.before = func(request string) {
			if request == "update" && first {
				first = false
				must.Get(store.End(t.Context(), id, session.EndOptions{Now: start}))(t)
			}
		}
		if _, err := store.Update(t.Context(), id, update(many(100)...)); !errors.Is(err, session.ErrEnded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("values that don't change stay as they are stored", func(t *testing.T) {
		id := begin(t, nil)
		_, err := client.UpdateItem(t.Context(), &sdk.UpdateItemInput{
			TableName: aws.String(table), Key: key(id), UpdateExpression: aws.String("SET #v.#list = :list"),
			ExpressionAttributeNames:  map[string]string{"#v": "values", "#list": "list"},
			ExpressionAttributeValues: map[string]types.AttributeValue{":list": &types.AttributeValueMemberL{}},
		})
		must.Succeed(t, err)
		_, err = store.Update(t.Context(), id, update(many(100)...))
		must.Succeed(t, err)
		value := stored(t, client, id)["values"].(*types.AttributeValueMemberM).Value["list"]
		if _, ok := value.(*types.AttributeValueMemberL); !ok {
			t.Errorf("the type of a list is now %T", value)
		}
	})
	t.Run("an item that becomes too large", func(t *testing.T) {
		id := begin(t, map[string]string{"a": `"` + strings.Repeat("x", 300_000) + `"`})
		changes := append(many(100), set("b", `"`+strings.Repeat("x", 300_000)+`"`))
		if _, err := store.Update(t.Context(), id, update(changes...)); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an addition beyond the range of counters", func(t *testing.T) {
		id := begin(t, nil)
		for _, n := range []int64{session.MaxCounter + 1, -session.MaxCounter - 1, -1 << 63} {
			for _, changes := range [][]session.Change{{add("n", n)}, append(many(100), add("n", n))} {
				if _, err := store.Update(t.Context(), id, update(changes...)); !errors.Is(err, session.ErrCounter) {
					t.Errorf("add %d: got %v", n, err)
				}
			}
		}
		if n.count("update") > 0 {
			t.Errorf("requests: %v", n.requests)
		}
	})
}
