package linearizability

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest"
)

// While the store hangs, requests that need the session get a 503 and others succeed. Afterwards the servers recover without a
// restart. In package session, TestDeadlines checks how long a request waits.
func TestPausedStore(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind.name, func(t *testing.T) {
			if kind.name == "dynamodb in batches" {
				sessiontest.Long(t)
			}
			t.Parallel()
			nodes := kind.nodes(t)
			endpoint := nodes[0].Endpoint
			if kind.prepare != nil {
				noError(t, kind.prepare(t.Context(), endpoint))
			}
			servers := []string{web(t, kind, endpoint), web(t, kind, endpoint)}
			v := &client{Client: sessiontest.NewClient()}
			for _, server := range servers {
				v.awaitVisit(t, server)
			}

			for _, node := range nodes {
				noError(t, node.Pause())
			}
			const requests = 4 // to each server at the same time
			results := make(chan error)
			for i := range len(servers) * requests {
				go func() { results <- v.expectUnavailable(t, servers[i%len(servers)]) }()
			}
			for _, server := range servers {
				for range 10 {
					if status, _, err := v.post(t, server+"/none"); err != nil || status != http.StatusOK {
						t.Errorf("a route without a session, while the store hangs: status %d, %v", status, err)
					}
				}
			}
			for range len(servers) * requests {
				if err := <-results; err != nil {
					t.Errorf("while the store hangs: %v", err)
				}
			}
			for _, node := range nodes {
				noError(t, node.Resume())
			}

			for _, server := range servers {
				v.awaitVisit(t, server)
			}
			got := v.awaitVisit(t, servers[0])
			// A refused visit may have been counted.
			if low, high := v.acknowledged.Load(), v.acknowledged.Load()+v.refused.Load(); got < low || got > high {
				t.Errorf("the counter is %d, want from %d to %d", got, low, high)
			}
		})
	}
}

// web starts a server with a store of its own.
func web(t *testing.T, k kind, endpoint string) string {
	t.Helper()
	store, err := k.open(endpoint)
	noError(t, err)
	manager, err := session.New(store, session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)})
	noError(t, err)
	const visits = session.Counter("visits")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /none", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /visit", func(w http.ResponseWriter, r *http.Request) {
		visits.Add(r.Context(), 1)
		n, _ := visits.Get(r.Context()) // the Manager responds to an error
		fmt.Fprint(w, n)
	})
	server := httptest.NewServer(manager.Handler(mux))
	t.Cleanup(server.Close)
	return server.URL
}

// A client counts its acknowledged and refused visits.
type client struct {
	*sessiontest.Client
	acknowledged, refused atomic.Int64
}

// post sends a POST request. If it is a visit, post counts it as acknowledged or refused.
func (v *client) post(t *testing.T, url string) (status int, body string, err error) {
	response, err := v.Do(t.Context(), http.MethodPost, url, "")
	if err != nil {
		return 0, "", err
	}
	switch {
	case !strings.HasSuffix(url, "/visit"):
	case response.StatusCode == http.StatusOK:
		v.acknowledged.Add(1)
	default:
		v.refused.Add(1)
		if response.Header.Get("Retry-After") == "" {
			err = fmt.Errorf("status %d without Retry-After", response.StatusCode)
		}
	}
	return response.StatusCode, response.Body, err
}

// expectUnavailable sends a visit and returns an error unless the server responds with 503.
func (v *client) expectUnavailable(t *testing.T, server string) error {
	status, _, err := v.post(t, server+"/visit")
	if err == nil && status != http.StatusServiceUnavailable {
		err = fmt.Errorf("status %d, want 503", status)
	}
	return err
}

// awaitVisit sends visits until one succeeds, for at most 30 seconds, and returns the counter.
func (v *client) awaitVisit(t *testing.T, server string) int64 {
	t.Helper()
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		status, body, err := v.post(t, server+"/visit")
		if n, parseErr := strconv.ParseInt(body, 10, 64); status == http.StatusOK && err == nil && parseErr == nil {
			return n
		}
		last = fmt.Sprint(status, " ", body, " ", err)
	}
	t.Fatalf("no visit succeeded within 30 seconds; the last response: %s", last)
	panic("unreachable")
}
