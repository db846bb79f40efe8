package dynamodb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
)

// A shelf is a table with sessions whose user is their number, for reads only. It holds requests back until they are let go.
type shelf struct {
	still

	mu      sync.Mutex
	version string        // the user agent of every session
	held    chan struct{} // requests wait until it is closed; nil to reply at once
	singles int           // number of GetItem requests
	batches []*sdk.BatchGetItemInput
	ended   []error // the state of the context of each batch, after its reply
	reply   func(n int, out *sdk.BatchGetItemOutput) error
}

func (s *shelf) stored(key map[string]types.AttributeValue) map[string]types.AttributeValue {
	id, _ := session.ParseID(key["id"].(*types.AttributeValueMemberS).Value)
	if id[0] == 0 {
		return nil
	}
	it := still{}.item()
	it["id"], it["user"], it["agent"] = key["id"], &types.AttributeValueMemberS{Value: fmt.Sprint(id[0])},
		&types.AttributeValueMemberS{Value: s.version}
	return it
}

func (s *shelf) wait(ctx context.Context, held chan struct{}) error {
	if held == nil {
		return ctx.Err()
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *shelf) GetItem(ctx context.Context, in *sdk.GetItemInput, _ ...option) (*sdk.GetItemOutput, error) {
	s.mu.Lock()
	s.singles++
	out, held := &sdk.GetItemOutput{Item: s.stored(in.Key)}, s.held
	s.mu.Unlock()
	return out, s.wait(ctx, held)
}

func (s *shelf) BatchGetItem(ctx context.Context, in *sdk.BatchGetItemInput, _ ...option) (*sdk.BatchGetItemOutput, error) {
	s.mu.Lock()
	n, held, out := len(s.batches), s.held, &sdk.BatchGetItemOutput{Responses: map[string][]map[string]types.AttributeValue{}}
	s.batches = append(s.batches, in)
	for _, key := range in.RequestItems[table].Keys {
		if it := s.stored(key); it != nil {
			out.Responses[table] = append(out.Responses[table], it)
		}
	}
	s.mu.Unlock()
	err := s.wait(ctx, held)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, ctx.Err())
	if err == nil && s.reply != nil {
		err = s.reply(n, out)
	}
	return out, err
}

// hold holds back the requests that follow, until the returned function is called.
func (s *shelf) hold() (release func()) {
	held := make(chan struct{})
	s.mu.Lock()
	s.held = held
	s.mu.Unlock()
	return func() { close(held) }
}

// pass replies to the requests that follow at once.
func (s *shelf) pass() {
	s.mu.Lock()
	s.held = nil
	s.mu.Unlock()
}

// A reading is a Load that runs.
type reading struct {
	record session.Record
	err    error
	took   time.Duration
	done   chan struct{}
}

// read starts to load a session and waits until it is blocked.
func read(ctx context.Context, store session.Store, id byte) *reading {
	r := &reading{done: make(chan struct{})}
	begin := time.Now()
	go func() {
		defer close(r.done)
		r.record, r.err = store.Load(ctx, session.ID{id}, start)
		r.took = time.Since(begin)
	}()
	synctest.Wait()
	return r
}

// check checks the result of a reading: the session of the id, or an error.
func (r *reading) check(t *testing.T, id byte, want error) {
	t.Helper()
	<-r.done
	if !errors.Is(r.err, want) || r.err == nil && r.record.User != fmt.Sprint(id) {
		t.Errorf("read of session %d: got that of %q, %v; want error %v", id, r.record.User, r.err, want)
	}
}

// advance advances the fake clock and waits until everything that is due then has happened.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// underLoad starts as many reads as are sent at once. It returns a function that lets them end.
func underLoad(t *testing.T, s *shelf, store session.Store) (end func()) {
	t.Helper()
	release := s.hold()
	first, second := read(t.Context(), store, 100), read(t.Context(), store, 101)
	if s.singles != 2 || len(s.batches) != 0 {
		t.Fatalf("%d reads were sent singly and %d in batches, want 2 and 0", s.singles, len(s.batches))
	}
	s.pass()
	return func() {
		release()
		first.check(t, 100, nil)
		second.check(t, 101, nil)
	}
}

// onShelf runs a test under load, with a fake clock.
func onShelf(t *testing.T, options dynamodb.Options, test func(t *testing.T, s *shelf, store session.Store, end func())) {
	t.Helper()
	options.Table = table
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		store := dynamodb.New(s, options)
		end := underLoad(t, s, store)
		test(t, s, store, end)
	})
}

// keys returns the ids of a batch, sorted.
func keys(in *sdk.BatchGetItemInput) (ids []byte) {
	for _, key := range in.RequestItems[table].Keys {
		id, _ := session.ParseID(key["id"].(*types.AttributeValueMemberS).Value)
		ids = append(ids, id[0])
	}
	slices.Sort(ids)
	return ids
}

func TestReadsUnderLoadAreSentTogether(t *testing.T) {
	onShelf(t, dynamodb.Options{BatchReads: true}, func(t *testing.T, s *shelf, store session.Store, end func()) {
		readings := map[byte]*reading{}
		for _, id := range []byte{3, 1, 2, 0} {
			readings[id] = read(t.Context(), store, id)
		}
		again := read(t.Context(), store, 1)
		if len(s.batches) != 0 || s.singles != 2 {
			t.Errorf("reads were sent while others were in flight")
		}
		end()
		again.check(t, 1, nil)
		for id, r := range readings {
			want := error(nil)
			if id == 0 {
				want = session.ErrNotFound
			}
			r.check(t, id, want)
			if r.took != 0 {
				t.Errorf("session %d: %v after the request before it ended", id, r.took)
			}
		}
		if len(s.batches) != 1 || s.singles != 2 || !slices.Equal(keys(s.batches[0]), []byte{0, 1, 2, 3}) {
			t.Fatalf("sent %d single reads and the batches %v", s.singles, s.batches)
		}
		if wanted := s.batches[0].RequestItems[table]; !aws.ToBool(wanted.ConsistentRead) || wanted.ProjectionExpression != nil {
			t.Errorf("the batch is %+v, want consistent reads of whole items", wanted)
		}
	})
}

func TestOptionsWithoutBatches(t *testing.T) {
	for _, options := range []dynamodb.Options{{}, {EventualReads: true, BatchReads: true}} {
		onShelf(t, options, func(t *testing.T, s *shelf, store session.Store, end func()) {
			r := read(t.Context(), store, 1)
			r.check(t, 1, nil)
			if s.singles != 3 || len(s.batches) != 0 || r.took != 0 {
				t.Errorf("%+v: %d single reads, %d batches, after %v", options, s.singles, len(s.batches), r.took)
			}
			end()
		})
	}
}

// A request that hangs delays further reads by a millisecond at most, and so does a batch that hangs.
func TestHungRequestsDelayReadsBriefly(t *testing.T) {
	onShelf(t, dynamodb.Options{BatchReads: true}, func(t *testing.T, s *shelf, store session.Store, end func()) {
		first := read(t.Context(), store, 1)
		first.check(t, 1, nil)
		release := s.hold()
		hung := read(t.Context(), store, 2)
		advance(time.Second)
		s.pass()
		next := read(t.Context(), store, 3)
		next.check(t, 3, nil)
		for _, r := range []*reading{first, next} {
			if r.took != time.Millisecond {
				t.Errorf("a read took %v, want 1ms", r.took)
			}
		}
		release()
		hung.check(t, 2, nil)
		end()
	})
}

// A read returns every change that was stored before it began: it doesn't join a batch in flight.
func TestReadsJoinNoBatchInFlight(t *testing.T) {
	onShelf(t, dynamodb.Options{BatchReads: true}, func(t *testing.T, s *shelf, store session.Store, end func()) {
		release := s.hold()
		before := read(t.Context(), store, 1)
		advance(time.Second)
		if len(s.batches) != 1 {
			t.Fatalf("%d batches are in flight, want 1", len(s.batches))
		}
		s.mu.Lock()
		s.version = "changed"
		s.mu.Unlock()
		s.pass()
		after := read(t.Context(), store, 1)
		after.check(t, 1, nil)
		if after.record.UserAgent != "changed" {
			t.Errorf("a read that began after a change got %q", after.record.UserAgent)
		}
		release()
		before.check(t, 1, nil)
		end()
	})
}

// DynamoDB reads at most 100 items in a batch. A full batch is sent at once.
func TestFullBatch(t *testing.T) {
	onShelf(t, dynamodb.Options{BatchReads: true}, func(t *testing.T, s *shelf, store session.Store, end func()) {
		var all []*reading
		for id := range byte(101) {
			all = append(all, read(t.Context(), store, id+1))
		}
		for i, r := range all {
			r.check(t, byte(i)+1, nil)
		}
		if len(s.batches) != 2 || len(keys(s.batches[0])) != 100 || len(keys(s.batches[1])) != 1 {
			t.Errorf("sent %d batches", len(s.batches))
		}
		if all[0].took != 0 {
			t.Errorf("the full batch was sent after %v", all[0].took)
		}
		end()
	})
}

// Each read ends with its own context. A batch goes on until nobody waits for it.
func TestReadersThatLeave(t *testing.T) {
	onShelf(t, dynamodb.Options{BatchReads: true}, func(t *testing.T, s *shelf, store session.Store, end func()) {
		release := s.hold()
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		left, stayed := read(short, store, 1), read(t.Context(), store, 2)
		advance(time.Second)
		left.check(t, 1, context.DeadlineExceeded)
		if left.took != 50*time.Millisecond {
			t.Errorf("a read with a deadline of 50ms took %v", left.took)
		}
		release()
		stayed.check(t, 2, nil)

		// The only reader of a batch in flight.
		release = s.hold()
		short, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		read(short, store, 1).check(t, 1, context.DeadlineExceeded)
		synctest.Wait()
		if len(s.ended) != 2 || s.ended[0] != nil || s.ended[1] == nil {
			t.Errorf("the contexts of the batches ended with %v, want only the last one canceled", s.ended)
		}
		release()

		// Before the batch is sent: its key is not sent, and another reader may still join.
		s.pass()
		short, cancel = context.WithCancel(t.Context())
		gone := read(short, store, 1)
		cancel()
		gone.check(t, 1, context.Canceled)
		joined := read(t.Context(), store, 2)
		joined.check(t, 2, nil)
		if got := keys(s.batches[2]); !slices.Equal(got, []byte{2}) {
			t.Errorf("sent %v", got)
		}
		end()
	})
}

// unprocessed moves all items of a reply to the unprocessed keys, except the first n.
func unprocessed(out *sdk.BatchGetItemOutput, n int) {
	items := out.Responses[table]
	out.Responses[table] = items[:n]
	var left types.KeysAndAttributes
	for _, it := range items[n:] {
		left.Keys = append(left.Keys, map[string]types.AttributeValue{"id": it["id"]})
	}
	out.UnprocessedKeys = map[string]types.KeysAndAttributes{table: left}
}

func TestUnprocessedKeysOfReads(t *testing.T) {
	onShelf(t, dynamodb.Options{BatchReads: true}, func(t *testing.T, s *shelf, store session.Store, end func()) {
		s.reply = func(n int, out *sdk.BatchGetItemOutput) error {
			if n < 2 {
				unprocessed(out, 1)
			}
			return nil
		}
		all := []*reading{read(t.Context(), store, 1), read(t.Context(), store, 2), read(t.Context(), store, 3)}
		times := map[time.Duration]bool{}
		for i, r := range all {
			r.check(t, byte(i)+1, nil)
			times[r.took] = true
		}
		if len(times) != 3 || !times[time.Millisecond] || s.singles != 2 || len(s.batches) != 3 {
			t.Errorf("the reads took %v, with %d batches; want one to end at once and the others after a pause", times, len(s.batches))
		}

		// DynamoDB never processes them. One reader has no time to wait.
		s.batches = nil
		s.reply = func(_ int, out *sdk.BatchGetItemOutput) error { unprocessed(out, 0); return nil }
		short, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond)
		defer cancel()
		hurried, patient := read(short, store, 1), read(t.Context(), store, 2)
		hurried.check(t, 1, context.DeadlineExceeded)
		patient.check(t, 2, nil)
		if hurried.took != 3*time.Millisecond || patient.took > time.Second || s.singles != 3 || len(s.batches) != 3 {
			t.Errorf("the reads took %v and %v, with %d batches and %d single reads",
				hurried.took, patient.took, len(s.batches), s.singles-2)
		}
		end()
	})
}

// A throttled batch fails with all its reads, because each would be throttled by itself too.
func TestThrottledBatch(t *testing.T) {
	onShelf(t, dynamodb.Options{BatchReads: true}, func(t *testing.T, s *shelf, store session.Store, end func()) {
		throttled := &types.ProvisionedThroughputExceededException{}
		s.reply = func(int, *sdk.BatchGetItemOutput) error { return throttled }
		one, two := read(t.Context(), store, 1), read(t.Context(), store, 2)
		one.check(t, 1, throttled)
		two.check(t, 2, throttled)
		if s.singles != 2 || len(s.batches) != 1 {
			t.Errorf("%d batches, and %d single reads after them", len(s.batches), s.singles-2)
		}
		end()
	})
}

// A reply with the item of another session never becomes the session of a reader, and never hides one.
func TestBatchWithAnotherItem(t *testing.T) {
	onShelf(t, dynamodb.Options{BatchReads: true}, func(t *testing.T, s *shelf, store session.Store, end func()) {
		s.reply = func(_ int, out *sdk.BatchGetItemOutput) error {
			out.Responses[table][0]["id"] = &types.AttributeValueMemberS{Value: session.ID{9}.String()}
			return nil
		}
		one, two := read(t.Context(), store, 1), read(t.Context(), store, 2)
		one.check(t, 1, nil)
		two.check(t, 2, nil)
		if s.singles != 3 {
			t.Errorf("%d single reads after the batch, want 1", s.singles-2)
		}
		end()
	})
}

// An item that can't be read fails only its reader.
func TestUnreadableItems(t *testing.T) {
	good := func(id byte) string {
		return fmt.Sprintf(`{"id":{"S":%q},"created":{"N":"1"},"expires":{"N":"2000003600"},"ttl":{"N":"2000003600"},`+
			`"user":{"S":"%d"},"values":{"M":{}}}`, session.ID{id}, id)
	}
	for name, bad := range map[string]string{
		"malformed":            `{"id":{"S":5}}`,
		"without its expiry":   strings.Replace(good(1), "expires", "other", 1),
		"of another type":      `{"id":["S"]}`,
		"BatchGetItem refused": "",
		"BatchGetItem too long": strings.Replace(good(1), `"M":{}`,
			`"M":{"x":{"S":"`+strings.Repeat("x", 33<<20)+`"}}`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			var requests sync.Map
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var in struct {
					Key struct{ ID struct{ S string } }
				}
				body, _ := io.ReadAll(r.Body)
				if err := json.Unmarshal(body, &in); err != nil {
					t.Error(err)
				}
				_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
				requests.Store(operation+in.Key.ID.S, true)
				switch {
				case operation == "BatchGetItem" && bad == "":
					w.WriteHeader(http.StatusBadRequest)
					io.WriteString(w, `{"__type":"com.amazon.coral.service#AccessDeniedException"}`)
				case operation == "BatchGetItem":
					fmt.Fprintf(w, `{"Responses":{%q:[%s,%s]}}`, table, good(2), bad)
				case in.Key.ID.S == session.ID{2}.String():
					fmt.Fprintf(w, `{"Item":%s}`, good(2))
				case bad == "":
					fmt.Fprintf(w, `{"Item":%s}`, strings.Replace(good(1), "expires", "other", 1))
				default:
					fmt.Fprintf(w, `{"Item":%s}`, bad)
				}
			}))
			defer server.Close()
			store := dynamodb.New(dynamodb.NewClient(config(), server.URL), dynamodb.Options{Table: table})
			dynamodb.BatchEveryRead(store, 50*time.Millisecond) // so that both reads are in one batch
			var wait sync.WaitGroup
			wait.Go(func() {
				if record, err := store.Load(t.Context(), session.ID{2}, start); err != nil || record.User != "2" {
					t.Errorf("the other session: got %v, %v", record, err)
				}
			})
			wait.Go(func() {
				if _, err := store.Load(t.Context(), session.ID{1}, start); err == nil || errors.Is(err, session.ErrNotFound) {
					t.Errorf("the bad session: got %v, want an error", err)
				}
			})
			wait.Wait()
			if _, ok := requests.Load("BatchGetItem"); !ok {
				t.Error("no batch was sent")
			}
			_, alone := requests.Load("GetItem" + session.ID{2}.String())
			if want := name != "without its expiry"; alone != want {
				t.Errorf("the other session was read alone: %t, want %t", alone, want)
			}
		})
	}
}
