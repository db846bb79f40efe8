package dax

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	sessions "stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/must"
)

// A table receives the queries.
type table struct{ queries int }

func (q *table) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	q.queries++
	entry := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: session.ID{1}.String()}}
	return &dynamodb.QueryOutput{Items: []map[string]types.AttributeValue{entry}}, nil
}

// open returns a client, and the store on it.
func open(t *testing.T, endpoint string, change func(*Options)) (*Client, *sessions.Store) {
	t.Helper()
	options := Options{
		Endpoint: endpoint, Region: "eu-west-1", Queries: &table{},
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}
	if change != nil {
		change(&options)
	}
	client := must.Get(New(options))(t)
	t.Cleanup(client.Close)
	return client, sessions.New(client, sessions.Options{Table: "sessions", EventualReads: true})
}

// update has every operation.
func update(now time.Time) session.Update {
	return session.Update{Now: now, IdleExpires: now.Add(time.Minute), Changes: []session.Change{
		{Op: session.OpSet, Key: "theme", Value: `"dark"`}, {Op: session.OpAdd, Key: "visits", N: 1},
		{Op: session.OpRemove, Key: "a key with spaces"},
	}}
}

// live returns the item of a live session in DAX's encoding.
func live(now time.Time) map[string]any {
	return map[string]any{"created": now.UnixMilli(), "expires": now.Add(time.Hour).Unix(), "ttl": now.Add(time.Minute).Unix(),
		"values": map[string]any{"visits": 7, "theme": `"dark"`}}
}

func TestReadsAndWrites(t *testing.T) {
	node := serve(t, "127.0.0.1:0", nil)
	client, store := open(t, "dax://"+node.Addr().String(), nil)
	now := time.Now()
	id := session.ID{1}
	if _, err := store.Load(t.Context(), id, now); !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err)
	}
	node.keep(live(now))
	record, err := store.Load(t.Context(), id, now)
	if err != nil || record.Values["visits"] != "7" || record.Values["theme"] != `"dark"` {
		t.Fatalf("%+v, %v", record, err)
	}
	if eventual, consistent := node.count("eventual read"), node.count("consistent read"); eventual != 2 || consistent != 0 {
		t.Errorf("%d eventual and %d consistent reads, want 2 eventual ones, which the cache may serve", eventual, consistent)
	}
	if err := store.Create(t.Context(), id, record); err != nil {
		t.Error(err)
	}
	if node.count("write") != 1 {
		t.Errorf("%d writes through DAX, want 1, because its cache must see them", node.count("write"))
	}
	if err := store.Ping(t.Context()); err != nil || node.count("consistent read") != 1 {
		t.Errorf("ping: want a consistent read, which the cache can't serve: %v", err)
	}
	alive := live(now)
	alive["user"] = "ann"
	node.keep(alive)
	page, err := store.UserSessions(t.Context(), "ann", session.PageQuery{Now: now, Limit: 10})
	if err != nil || len(page.Sessions) != 1 || page.Sessions[0].ID != id || page.Sessions[0].Record.User != "ann" {
		t.Errorf("got %v, %v", page, err)
	}
	if client.options.Queries.(*table).queries != 1 || node.count("consistent batch") != 1 || node.count("eventual batch") != 0 {
		t.Error("want the query of the table, and a consistent read of the sessions")
	}
	if p := store.Promises(); p.ReadYourWrites || !p.NoLostUpdate || !p.LogoutIsFinal {
		t.Errorf("declared %+v", p)
	}
}

// DAX does not return the item on which a condition failed. A consistent read finds out the reason.
func TestFailedConditions(t *testing.T) {
	node := serve(t, "127.0.0.1:0", nil)
	_, store := open(t, "dax://"+node.Addr().String(), nil)
	node.set(func() { node.refuse = "ConditionalCheckFailedException" })
	now := time.Now()
	expired := live(now)
	expired["ttl"] = now.Unix() - 1
	for _, test := range []struct {
		name string
		item map[string]any
		want error
	}{
		{"nothing there", nil, session.ErrNotFound},
		{"expired", expired, session.ErrNotFound},
		{"ended", map[string]any{"ended": now.Add(time.Minute).Unix(), "ttl": now.Add(time.Minute).Unix()}, session.ErrEnded},
		{"a sum out of range", live(now), session.ErrCounter},
	} {
		node.keep(test.item)
		before := node.count("consistent read")
		if _, err := store.Update(t.Context(), session.ID{1}, update(now)); !errors.Is(err, test.want) {
			t.Errorf("%s: update: got %v, want %v", test.name, err, test.want)
		}
		if node.count("consistent read") != before+1 || node.count("eventual read") != 0 {
			t.Errorf("%s: the item of a failed condition was read from the cache", test.name)
		}
		if test.want == session.ErrCounter {
			continue // an end has no additions
		}
		if _, err := store.End(t.Context(), session.ID{1}, session.EndOptions{Now: now, Moving: true}); !errors.Is(err, test.want) {
			t.Errorf("%s: end to move: got %v, want %v", test.name, err, test.want)
		}
		if _, err := store.End(t.Context(), session.ID{1}, session.EndOptions{Now: now}); !errors.Is(err, test.want) {
			t.Errorf("%s: end: got %v, want %v", test.name, err, test.want)
		}
	}
}

// renewal returns the renewal of a login whose session has been read.
func renewal(now time.Time) session.Renewal {
	r := session.Record{
		Values:  map[string]string{"visits": "7", "theme": `"dark"`},
		Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Minute),
	}
	next := r
	next.User, next.Values = "ann", nil
	return session.Renewal{Old: session.ID{1}, New: session.ID{2}, Now: now, Record: next, AllowRenewed: true, Known: &r}
}

func TestRenewal(t *testing.T) {
	node := serve(t, "127.0.0.1:0", nil)
	_, store := open(t, "dax://"+node.Addr().String(), nil)
	now := time.Now()
	for _, test := range []struct {
		name               string
		reasons            []any // of the first transaction
		transactions, read int   // consistent reads, because the cache may be stale
	}{
		{"what is known is right", nil, 1, 0},
		{"what is known is old", []any{"ConditionalCheckFailed", "failed", nil, "None", nil, nil}, 2, 1},
		{"another transaction", []any{"None", nil, nil, "TransactionConflict", "busy", nil}, 2, 0},
		{"it was done before", []any{"None", nil, nil, "ConditionalCheckFailed", "failed", nil}, 1, 1},
	} {
		node.keep(live(now))
		node.set(func() {
			node.requests = map[string]int{}
			if node.reasons = test.reasons; test.reasons != nil {
				node.refuse, node.times = "TransactionCanceledException", 1
			}
		})
		got, err := store.Renew(t.Context(), renewal(now))
		if err != nil || got.Values["visits"] != "7" || got.Values["theme"] != `"dark"` {
			t.Errorf("%s: got %v, %v", test.name, got, err)
		}
		if n, read := node.count("transaction"), node.count("consistent read"); n != test.transactions || read != test.read {
			t.Errorf("%s: %d transactions and %d consistent reads, want %d and %d", test.name, n, read, test.transactions, test.read)
		}
		if node.count("eventual read") > 0 {
			t.Errorf("%s: read from the cache, want a consistent read", test.name)
		}
	}
}

// A write that conflicted with a transaction was not applied and is retried.
func TestConflicts(t *testing.T) {
	node := serve(t, "127.0.0.1:0", nil)
	_, store := open(t, "dax://"+node.Addr().String(), nil)
	now := time.Now()
	node.keep(live(now))
	node.set(func() { node.refuse, node.times = "TransactionConflictException", 2 })
	if _, err := store.Update(t.Context(), session.ID{1}, update(now)); err != nil {
		t.Error(err)
	}
	if got := node.count("write"); got != 3 {
		t.Errorf("sent %d times, want 3", got)
	}
}

// A write whose reply is lost is not retried, because an addition would count twice.
func TestWritesAreSentOnce(t *testing.T) {
	node := serve(t, "127.0.0.1:0", nil)
	client, store := open(t, "dax://"+node.Addr().String(), nil)
	if _, err := store.Load(t.Context(), session.ID{1}, time.Now()); !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err)
	}
	node.set(func() { node.hangUp = true })
	if _, err := store.Update(t.Context(), session.ID{1}, update(time.Now())); err == nil {
		t.Fatal("succeeded without a reply, want an error")
	}
	if _, err := store.Renew(t.Context(), renewal(time.Now())); err == nil {
		t.Fatal("succeeded without a reply, want an error")
	}
	if update, renewal := node.count("write"), node.count("transaction"); update != 1 || renewal != 1 {
		t.Errorf("sent %d and %d times", update, renewal)
	}

	// With the client's default options.
	client.Close()
	twin := must.Get(New(client.options))(t)
	t.Cleanup(twin.Close)
	twin.config.WriteRetries = 2
	store = sessions.New(twin, sessions.Options{Table: "sessions", EventualReads: true})
	if _, err := store.Update(t.Context(), session.ID{1}, update(time.Now())); err == nil || node.count("write") < 3 {
		t.Errorf("%v; this test would not detect a retry", err)
	}
}

// visit sends a request with a session cookie to a server with sessions in the store, and returns the status.
func visit(t *testing.T, store session.Store) int {
	t.Helper()
	manager, err := session.New(store, session.Options{
		CookieName: "session", PlainHTTP: true, StoreTimeout: 2 * time.Second,
	})
	must.Succeed(t, err)
	handler := manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := session.From(r.Context()).Info(r.Context()); errors.Is(err, session.ErrUnavailable) {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else if err != nil {
			t.Error(err)
		}
	}))
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.AddCookie(&http.Cookie{Name: "session", Value: strings.Repeat("A", 43)})
	reply := httptest.NewRecorder()
	handler.ServeHTTP(reply, request)
	return reply.Code
}

func TestUnreachableCluster(t *testing.T) {
	node := serve(t, "127.0.0.1:0", nil)
	address := node.Addr().String()
	node.end()
	_, store := open(t, "dax://"+address, nil)
	if code := visit(t, store); code != http.StatusServiceUnavailable {
		t.Fatalf("without a cluster: status %d", code)
	}
	if err := store.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "find the nodes of dax://"+address) {
		t.Errorf("got %v", err)
	}
	serve(t, address, nil)
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("after the cluster has started: %v", err)
	}
	if code := visit(t, store); code != http.StatusOK {
		t.Errorf("after the cluster has started: status %d", code)
	}
}

func TestHungCluster(t *testing.T) {
	node := serve(t, "127.0.0.1:0", nil)
	node.set(func() { node.mute = true })
	_, store := open(t, "dax://"+node.Addr().String(), nil)
	if code := visit(t, store); code != http.StatusServiceUnavailable { // without a timeout, the test would hang
		t.Errorf("while the nodes are not found: status %d", code)
	}

	working := serve(t, "127.0.0.1:0", nil)
	_, store = open(t, "dax://"+working.Addr().String(), nil)
	if code := visit(t, store); code != http.StatusOK {
		t.Fatalf("with a healthy cluster: status %d", code)
	}
	working.set(func() { working.mute = true })
	if code := visit(t, store); code != http.StatusServiceUnavailable {
		t.Errorf("with a hung cluster: status %d", code)
	}
	working.set(func() { working.mute = false })
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("after the cluster has recovered: %v", err)
	}
}

func TestTLS(t *testing.T) {
	authority := httptest.NewUnstartedServer(nil)
	authority.StartTLS()
	defer authority.Close()
	pool := x509.NewCertPool()
	pool.AddCert(authority.Certificate()) // for 127.0.0.1
	node := serve(t, "127.0.0.1:0", &tls.Config{Certificates: authority.TLS.Certificates})
	endpoint := "daxs://" + node.Addr().String()

	_, store := open(t, endpoint, func(o *Options) { o.RootCAs = pool })
	if err := store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	_, store = open(t, endpoint, nil)
	if err := store.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("certificate of an untrusted authority: %v", err)
	}
	_, store = open(t, strings.Replace(endpoint, "127.0.0.1", "localhost", 1), func(o *Options) { o.RootCAs = pool })
	if err := store.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "localhost") {
		t.Errorf("with another cluster's certificate: %v", err)
	}
}

func TestMalformedEndpoints(t *testing.T) {
	for _, endpoint := range []string{"", "cluster:8111", "https://cluster", "dax://", "dax://%"} {
		if _, err := New(Options{Endpoint: endpoint}); err == nil || !strings.Contains(err.Error(), "want daxs://host:port") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
