package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// replica is a proxy for DynamoDB that simulates replica lag, because all reads of DynamoDB Local are consistent. Eventually
// consistent reads come from a second table, the copy. Writes to the first table are repeated on the copy after the lag, in the
// same order.
type replica struct {
	table, copy string
	lag         time.Duration
	target      *url.URL
	proxy       *httputil.ReverseProxy
	server      *http.Server

	mu     sync.Mutex   // guards the order of writes
	queue  chan<- write // nil once it is closed
	ended  sync.WaitGroup
	failed error // the first write that the copy didn't take
}

// write is a write to repeat on the copy.
type write struct {
	due     time.Time
	request *http.Request
}

// maxQueue bounds the writes that wait for the copy, to some seconds' worth.
const maxQueue = 10_000

// newReplica starts a replica on a free loopback port. Both tables must exist.
func newReplica(endpoint, table, copy string, lag time.Duration) (r *replica, address string, err error) {
	target, err := url.Parse(endpoint)
	if err != nil {
		return nil, "", err
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listening for a replica's clients: %w", err)
	}
	queue := make(chan write, maxQueue)
	r = &replica{table: table, copy: copy, lag: lag, target: target, queue: queue}
	r.proxy = httputil.NewSingleHostReverseProxy(target)
	r.proxy.ErrorLog = log.New(io.Discard, "", 0)
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	r.ended.Go(func() { r.follow(queue) })
	go func() { _ = r.server.Serve(listener) }()
	return r, "http://" + listener.Addr().String(), nil
}

// Close stops the replica. It returns the first error of a write to the copy.
func (r *replica) Close() error {
	err := r.server.Close()
	r.mu.Lock()
	close(r.queue)
	r.queue = nil
	r.mu.Unlock()
	r.ended.Wait()
	if r.failed != nil {
		return r.failed
	}
	return err
}

func (r *replica) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, operation, _ := strings.Cut(request.Header.Get("X-Amz-Target"), ".")
	switch operation {
	case "GetItem":
		if !consistent(body) {
			body = r.toCopy(body)
		}
		r.pass(w, request, body)
	case "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems":
		// One write at a time: the copy gets them in the order in which they were made.
		r.mu.Lock()
		defer r.mu.Unlock()
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		r.pass(status, request, body)
		if status.status == http.StatusOK && r.queue != nil {
			r.queue <- write{time.Now().Add(r.lag), r.copyRequest(request, r.toCopy(body))}
		}
	default:
		r.pass(w, request, body)
	}
}

func (r *replica) pass(w http.ResponseWriter, request *http.Request, body []byte) {
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.proxy.ServeHTTP(w, request)
}

// copyRequest returns the request for the copy. It doesn't end with the original request.
func (r *replica) copyRequest(request *http.Request, body []byte) *http.Request {
	other := request.Clone(context.WithoutCancel(request.Context()))
	other.RequestURI, other.Host = "", r.target.Host
	other.URL.Scheme, other.URL.Host = r.target.Scheme, r.target.Host
	other.Body, other.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return other
}

// toCopy replaces the table by the copy, and removes the client token, which is valid for one transaction only.
func (r *replica) toCopy(body []byte) []byte {
	body = bytes.ReplaceAll(body, fmt.Appendf(nil, `"TableName":%q`, r.table), fmt.Appendf(nil, `"TableName":%q`, r.copy))
	return clientToken.ReplaceAll(body, nil)
}

var clientToken = regexp.MustCompile(`"ClientRequestToken":"[^"]*",`)

func consistent(body []byte) bool {
	var input struct{ ConsistentRead bool }
	return json.Unmarshal(body, &input) == nil && input.ConsistentRead
}

// follow sends the writes to the copy when they are due.
func (r *replica) follow(queue <-chan write) {
	for w := range queue {
		time.Sleep(time.Until(w.due))
		if err := r.apply(w.request); err != nil && r.failed == nil {
			r.failed = err
		}
	}
}

func (r *replica) apply(request *http.Request) error {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("writing to the copy: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("writing to the copy: %s: %s", response.Status, text)
	}
	return err
}

// statusWriter records the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
