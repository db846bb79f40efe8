package dynamodb_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// A transport is the HTTP client of a caller. It loses the replies of updates.
type transport struct{ updates, lost int }

func (c *transport) Do(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil || !strings.HasSuffix(request.Header.Get("X-Amz-Target"), ".UpdateItem") {
		return response, err
	}
	c.updates++
	if c.lost > 0 {
		c.lost--
		response.Body.Close()
		return nil, errLost
	}
	return response, nil
}

// A client of the caller, which retries by default, never repeats an addition.
func testCallersClient(t *testing.T, server *storeserver.Server) {
	_, _, client := openNetwork(t, server)
	for name, newClient := range map[string]func(aws.Config) *sdk.Client{
		"NewClient": func(c aws.Config) *sdk.Client { return dynamodb.NewClient(c, server.Endpoint) },
		"sdk": func(c aws.Config) *sdk.Client {
			return sdk.NewFromConfig(c, func(o *sdk.Options) { o.BaseEndpoint = aws.String(server.Endpoint) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			own := &transport{}
			c := config()
			c.HTTPClient, c.RetryMaxAttempts = own, 5
			store := dynamodb.New(newClient(c), dynamodb.Options{Table: table})
			id := session.ID{byte(len(name))}
			must.Succeed(t, store.Create(t.Context(), id, record("", nil)))
			own.lost = 1
			if _, err := store.Update(t.Context(), id, update(add("n", 1))); !errors.Is(err, errLost) || own.updates != 1 {
				t.Errorf("got %v after %d updates, want one with a lost reply", err, own.updates)
			}
			got, err := dynamodb.New(client, dynamodb.Options{Table: table}).Load(t.Context(), id, start)
			if err != nil || got.Values["n"] != "1" {
				t.Errorf("got %v, %v, want one addition", got.Values, err)
			}
		})
	}
}

// NewClient keeps the certificate authorities of the configuration.
func TestNewClientKeepsTheHTTPClient(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) }))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c := config()
	c.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	})
	store := dynamodb.New(dynamodb.NewClient(c, server.URL), dynamodb.Options{Table: table})
	if err := store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
