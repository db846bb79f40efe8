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

// While the store hangs, only visitors who need their session notice: they get a 503 while it still hangs. Nothing has to
// be restarted afterwards. TestBounds has the time that a request waits.
func TestPausedStore(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			nodes := kind.nodes(t)
			endpoint := nodes[0].Endpoint
			if kind.prepare != nil {
				noError(t, kind.prepare(t.Context(), endpoint))
			}
			servers := []string{web(t, kind, endpoint), web(t, kind, endpoint)}
			v := &client{Client: sessiontest.NewClient()}
			for _, server := range servers {
				v.visitsAgain(t, server)
			}

			for _, node := range nodes {
				noError(t, node.Pause())
			}
			const requests = 4 // of each server at once
			answers := make(chan error)
			for i := range len(servers) * requests {
				go func() { answers <- v.isRefused(t, servers[i%len(servers)]) }()
			}
			for _, server := range servers {
				for range 10 {
					if status, _, err := v.post(t, server+"/none"); err != nil || status != http.StatusOK {
						t.Errorf("a route without a session, while the store hangs: status %d, %v", status, err)
					}
				}
			}
			for range len(servers) * requests {
				if err := <-answers; err != nil {
					t.Errorf("while the store hangs: %v", err)
				}
			}
			for _, node := range nodes {
				noError(t, node.Resume())
			}

			for _, server := range servers {
				v.visitsAgain(t, server)
			}
			got := v.visitsAgain(t, servers[0])
			if least, most := v.acknowledged.Load(), v.acknowledged.Load()+v.refused.Load(); got < least || got > most {
				t.Errorf("the counter says %d, want %d acknowledged visits and up to %d", got, least, most)
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
		n, _ := visits.Get(r.Context()) // the Manager answers an error
		fmt.Fprint(w, n)
	})
	server := httptest.NewServer(manager.Handler(mux))
	t.Cleanup(server.Close)
	return server.URL
}

// A visitor is a client, which knows how many visits it was acknowledged and refused.
type client struct {
	*sessiontest.Client
	acknowledged, refused atomic.Int64
}

// post sends a visit and counts it if it is acknowledged.
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

// isRefused returns an error unless the server responds with 503.
func (v *client) isRefused(t *testing.T, server string) error {
	status, _, err := v.post(t, server+"/visit")
	if err == nil && status != http.StatusServiceUnavailable {
		err = fmt.Errorf("status %d, want 503", status)
	}
	return err
}

// visitsAgain retries a visit for at most half a minute and returns the counter.
func (v *client) visitsAgain(t *testing.T, server string) int64 {
	t.Helper()
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		status, body, err := v.post(t, server+"/visit")
		if n, parseErr := strconv.ParseInt(body, 10, 64); status == http.StatusOK && err == nil && parseErr == nil {
			return n
		}
		last = fmt.Sprint(status, " ", body, " ", err)
	}
	t.Fatalf("no visit is counted; the last response: %s", last)
	panic("unreachable")
}
