package dynamodb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
)

// A countedConn counts the writes on a connection.
type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// A client sends a request in one write, as a plain http.Client doesn't with the SDK's requests.
func TestRequestsAreOneWrite(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || !bytes.Contains(body, []byte(session.ID{1}.String())) {
			t.Errorf("got the request %q, %v", body, err)
		}
		io.WriteString(w, "{}")
	}))
	defer server.Close()
	var writes atomic.Int64
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return countedConn{conn, &writes}, err
	}}
	defer transport.CloseIdleConnections()
	for _, test := range []struct {
		name   string
		client aws.HTTPClient
		one    bool
	}{{"this package's", dynamodb.HTTPClient(transport), true}, {"the plain client", &http.Client{Transport: transport}, false}} {
		client := sdk.NewFromConfig(config(), func(o *sdk.Options) {
			o.BaseEndpoint, o.HTTPClient = aws.String(server.URL), test.client
		})
		store := dynamodb.New(client, dynamodb.Options{Table: table})
		writes.Store(0)
		for range 3 {
			if _, err := store.Load(t.Context(), session.ID{1}, start); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: got %v", test.name, err)
			}
		}
		if got := writes.Load(); got == 3 != test.one {
			t.Errorf("%s: %d writes for 3 requests", test.name, got)
		}
	}
}

// The client follows no redirect, which would send a request to a server of another's choice.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	store := dynamodb.New(dynamodb.NewClient(config(), server.URL), dynamodb.Options{Table: table})
	if _, err := store.Load(t.Context(), session.ID{1}, start); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("got %v, want an error", err)
	}
	if got := requests.Load(); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

// A response that is longer than any valid one is not read to its end.
func TestLongResponses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Item":{"id":{"S":%q}}}`, strings.Repeat("x", 5<<20))
	}))
	defer server.Close()
	store := dynamodb.New(dynamodb.NewClient(config(), server.URL), dynamodb.Options{Table: table})
	if _, err := store.Load(t.Context(), session.ID{1}, start); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v, want an error about the length", err)
	}
}
