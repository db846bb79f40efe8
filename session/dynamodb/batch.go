package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"stateless-servers/session"
)

const (
	// maxInFlight is the number of requests for reads that are in flight before further reads wait. With more, batches are
	// smaller and take more CPU time. With one, reads would wait even if a server has little to do.
	maxInFlight = 2
	// maxWait is the longest time for which a read waits before it is sent. It is less than DynamoDB takes for a read, and bounds
	// the delay behind a slow request. It also limits the number of requests per second.
	maxWait = time.Millisecond
	// batchAttempts is the maximum number of requests for a key that DynamoDB leaves unprocessed. The SDK has the same limit for
	// requests that fail.
	batchAttempts = 3
)

// batchedReads sends consistent reads. While few reads are in flight, it sends each at once with GetItem. Under load it collects
// reads and sends them together with BatchGetItem, as databases group commits: a request for 16 items takes about a tenth of the
// CPU time of 16 requests.
//
// A read joins only a batch that has not been sent, so that it returns every change that was acknowledged before it began. It ends
// with its own context. A batch is canceled when no reader waits for it.
type batchedReads struct {
	store       *Store
	maxInFlight int
	maxWait     time.Duration

	mu       sync.Mutex
	inFlight int    // number of requests
	next     *batch // collects reads; nil if none waits
}

// A batch contains reads that are sent together.
type batch struct {
	entries map[string]*entry // by id
	readers int               // number of readers that wait
	ctx     context.Context
	cancel  context.CancelFunc
	timer   *time.Timer // sends the batch after maxWait
}

// An entry is the read of one item for one or more readers.
type entry struct {
	readers int           // number of readers that wait
	done    chan struct{} // closed when item and err are set
	item    item          // nil if the item doesn't exist
	err     error
}

// errReadAlone means that a batch has no result for an item, but that a GetItem may have one.
var errReadAlone = errors.New("the batch has no result for the item")

func newBatchedReads(s *Store) *batchedReads {
	return &batchedReads{store: s, maxInFlight: maxInFlight, maxWait: maxWait}
}

// get returns the stored item of an id, or nil if there is none.
func (r *batchedReads) get(ctx context.Context, id session.ID) (item, error) {
	r.mu.Lock()
	if r.inFlight < r.maxInFlight {
		r.inFlight++
		r.mu.Unlock()
		defer r.release()
		return r.store.get(ctx, id, true)
	}
	b, e := r.join(id.String())
	r.mu.Unlock()
	select {
	case <-e.done:
	case <-ctx.Done():
		r.leave(b, e)
		return nil, fmt.Errorf("wait for a batch of reads: %w", ctx.Err())
	}
	if errors.Is(e.err, errReadAlone) {
		return r.store.get(ctx, id, true)
	}
	return e.item, e.err
}

// join adds a reader of an id to the next batch, and sends the batch if it is full. The caller holds the lock.
func (r *batchedReads) join(id string) (*batch, *entry) {
	b := r.next
	if b == nil {
		b = &batch{entries: map[string]*entry{}}
		b.ctx, b.cancel = context.WithCancel(context.Background())
		b.timer = time.AfterFunc(r.maxWait, func() { r.expire(b) })
		r.next = b
	}
	e := b.entries[id]
	if e == nil {
		e = &entry{done: make(chan struct{})}
		b.entries[id] = e
	}
	e.readers++
	b.readers++
	if len(b.entries) == maxKeys {
		r.sendNext()
	}
	return b, e
}

// leave removes a reader whose context has ended.
func (r *batchedReads) leave(b *batch, e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.readers--
	b.readers--
	if b.readers == 0 && b != r.next {
		b.cancel()
	}
}

// release ends a request and sends the next batch.
func (r *batchedReads) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight--
	if r.next != nil && r.inFlight < r.maxInFlight {
		r.sendNext()
	}
}

// expire sends a batch that has waited for maxWait.
func (r *batchedReads) expire(b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b == r.next {
		r.sendNext()
	}
}

// sendNext sends the next batch, without the entries that no reader waits for. The caller holds the lock.
func (r *batchedReads) sendNext() {
	b := r.next
	r.next = nil
	b.timer.Stop()
	var ids []string
	for id, e := range b.entries {
		if e.readers > 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		b.cancel()
		return
	}
	r.inFlight++
	go func() {
		defer r.release()
		defer b.cancel()
		r.send(b, ids)
	}()
}

// send reads items for the entries of a batch. It sends the ids that DynamoDB leaves unprocessed again, after a pause.
func (r *batchedReads) send(b *batch, ids []string) {
	table := r.store.options.Table
	for attempt := range batchAttempts {
		wanted := types.KeysAndAttributes{ConsistentRead: aws.Bool(true), Keys: make([]item, len(ids))}
		for i, id := range ids {
			wanted.Keys[i] = item{attributeID: text(id)}
		}
		output, err := r.store.api.BatchGetItem(b.ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{table: wanted},
		})
		if err != nil {
			if readableAlone(err) {
				err = errReadAlone
			}
			b.finish(ids, nil, err)
			return
		}
		ids = b.finishProcessed(ids, output.Responses[table], output.UnprocessedKeys[table].Keys)
		if len(ids) == 0 || !pause(b.ctx, attempt) {
			break
		}
	}
	b.finish(ids, nil, errReadAlone)
}

// finishProcessed finishes the entries of the ids that DynamoDB has processed, and returns the other ids.
func (b *batch) finishProcessed(ids []string, items, unprocessed []item) (left []string) {
	found := byID(items)
	later := byID(unprocessed)
	var missing []string
	for _, id := range ids {
		switch {
		case found[id] != nil:
			b.finish([]string{id}, found[id], nil)
		case later[id] != nil:
			left = append(left, id)
		default:
			missing = append(missing, id)
		}
	}
	var err error
	if len(ids)-len(missing) < len(items)+len(unprocessed) {
		err = errReadAlone // the reply has an item that was not requested, perhaps in the place of a missing one
	}
	b.finish(missing, nil, err)
	return left
}

func byID(items []item) map[string]item {
	m := make(map[string]item, len(items))
	for _, it := range items {
		m[attributeText(it[attributeID])] = it
	}
	return m
}

// finish sets the result of some entries.
func (b *batch) finish(ids []string, it item, err error) {
	for _, id := range ids {
		e := b.entries[id]
		e.item, e.err = it, err
		close(e.done)
	}
}

// readableAlone reports whether GetItem may succeed although BatchGetItem has failed with err: because another item makes the
// response unreadable or too long, or because the server may not use BatchGetItem. It returns false for a throttled request.
func readableAlone(err error) bool {
	var unreadable *smithy.DeserializationError
	if errors.As(err, &unreadable) {
		return true
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if _, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; throttled {
			return false
		}
	}
	var response interface{ HTTPStatusCode() int }
	return errors.As(err, &response) && response.HTTPStatusCode()/100 == http.StatusBadRequest/100
}
