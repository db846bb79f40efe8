package experiment

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

func TestReplicaLagsBehind(t *testing.T) {
	var mu sync.Mutex
	var got []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Header.Get("X-Amz-Target")+" "+string(body))
		if bytes.Contains(body, []byte("refused")) {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer upstream.Close()
	const lag = 200 * time.Millisecond
	r, address, err := newReplica(upstream.URL, "sessions", "copy", lag)
	must.Succeed(t, err)
	ask := func(operation, body string) {
		request := must.Get(http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body)))(t)
		request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
		response := must.Get(http.DefaultClient.Do(request))(t)
		response.Body.Close()
	}
	ask("GetItem", `{"TableName":"sessions"}`)
	ask("GetItem", `{"ConsistentRead":true,"TableName":"sessions"}`)
	ask("UpdateItem", `{"TableName":"sessions","n":1}`)
	wrote := time.Now()
	ask("PutItem", `{"TableName":"sessions","n":"refused"}`)
	ask("PutItem", `{"TableName":"sessions","n":2}`)
	ask("TransactWriteItems", `{"ClientRequestToken":"t","TransactItems":[{"Update":{"TableName":"sessions"}},{"Put":{"TableName":"sessions"}}]}`)
	ask("Query", `{"TableName":"sessions"}`)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(wrote); took < lag {
		t.Errorf("the copy got the writes after %v, want at least the lag", took)
	}
	want := []string{
		`GetItem {"TableName":"copy"}`, `GetItem {"ConsistentRead":true,"TableName":"sessions"}`,
		`UpdateItem {"TableName":"sessions","n":1}`, `PutItem {"TableName":"sessions","n":"refused"}`,
		`PutItem {"TableName":"sessions","n":2}`, `Query {"TableName":"sessions"}`,
		`TransactWriteItems {"ClientRequestToken":"t","TransactItems":[{"Update":{"TableName":"sessions"}},{"Put":{"TableName":"sessions"}}]}`,
		`TransactWriteItems {"TransactItems":[{"Update":{"TableName":"copy"}},{"Put":{"TableName":"copy"}}]}`,
		`UpdateItem {"TableName":"copy","n":1}`, `PutItem {"TableName":"copy","n":2}`,
	}
	for i := range want {
		want[i] = "DynamoDB_20120810." + want[i]
	}
	slices.Sort(want) // writes to the copy may come before later requests to the table
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Close reports a write that the copy refused.
func TestReplicaReportsRefusedWrite(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte("copy")) {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer upstream.Close()
	r, address, err := newReplica(upstream.URL, "sessions", "copy", time.Millisecond)
	must.Succeed(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(`{"TableName":"sessions"}`))
	must.Succeed(t, err)
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	response, err := http.DefaultClient.Do(request)
	must.Succeed(t, err)
	response.Body.Close()
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "writing to the copy: 500") {
		t.Errorf("got %v", err)
	}
}
