package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A dynamoDBStub answers PutItem, GetItem and UpdateItem over HTTP as DynamoDB does, for the measurement of a server's
// own CPU time.
//
// What the server pays for a call is the same whoever answers: it builds, signs and sends the request, and receives,
// checks and decodes an answer of the same bytes. DynamoDB Local would spend more CPU time on the answer than the server
// on the request, on the core that the load comes from, so that the server would idle and the JVM's collector would set
// the pace. The stub knows nothing of expressions: it takes every update for one more visit. A test holds its answers
// against those of DynamoDB Local.
type dynamoDBStub struct {
	endpoint string
	server   http.Server

	mu    sync.Mutex
	items map[string]map[string]any // by id
	calls map[string]int            // by operation
}

// startDynamoDBStub listens on a free loopback port until Close.
func startDynamoDBStub() (*dynamoDBStub, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the DynamoDB stub: %w", err)
	}
	d := &dynamoDBStub{
		endpoint: "http://" + listener.Addr().String(), items: map[string]map[string]any{}, calls: map[string]int{},
	}
	d.server.Handler = http.HandlerFunc(d.serve)
	go d.server.Serve(listener)
	return d, nil
}

func (d *dynamoDBStub) Close() { d.server.Close() }

// take returns the calls since it was last called.
func (d *dynamoDBStub) take() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = map[string]int{}
	return calls
}

// A call is what the stub reads of a request.
type call struct {
	Item map[string]any
	Key  struct {
		ID struct{ S string } `json:"id"`
	}
	Values map[string]any `json:"ExpressionAttributeValues"`
}

func (d *dynamoDBStub) serve(w http.ResponseWriter, r *http.Request) {
	var c call
	err := json.NewDecoder(r.Body).Decode(&c)
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	answer, known := d.answer(operation, c)
	if err != nil || !known {
		http.Error(w, `{"__type":"com.amazonaws.dynamodb.v20120810#UnknownOperationException"}`, http.StatusBadRequest)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/x-amz-json-1.0")
	header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(answer)), 10))
	header.Set("X-Amzn-Requestid", "VQ5C5SSRGNB2NJHR3L6PTBMO2JVV4KQNSO5AEMVJF66Q9ASUAAJG")
	w.Write(answer)
}

func (d *dynamoDBStub) answer(operation string, c call) (body []byte, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[operation]++
	result := map[string]any{}
	switch operation {
	case "PutItem":
		id, _ := c.Item["id"].(map[string]any)["S"].(string)
		d.items[id] = c.Item
	case "GetItem":
		if item := d.items[c.Key.ID.S]; item != nil {
			result["Item"] = item
		}
	case "UpdateItem":
		item := d.items[c.Key.ID.S]
		visits := item["values"].(map[string]any)["M"].(map[string]any)["visits"].(map[string]any)
		n, _ := strconv.Atoi(visits["N"].(string))
		visits["N"] = strconv.Itoa(n + 1)
		item["ttl"] = c.Values[":idle"]
		result["Attributes"] = item
	default:
		return nil, false
	}
	body, err := json.Marshal(result)
	return body, err == nil
}
