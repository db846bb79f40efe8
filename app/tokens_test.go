package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/app/config"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

func newTokenKey(t *testing.T) string {
	t.Helper()
	key := must.Get(rsa.GenerateKey(rand.Reader, 2048))(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func tokenConfig(c *config.Config) {
	c.Store, c.SessionKeys = config.StoreToken, base64.StdEncoding.EncodeToString(make([]byte, 32))
}

// awaitReady waits until a server is ready, which it is once it has read the list of revoked tokens.
func awaitReady(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, body := get(t, url+"/readyz"); status == http.StatusOK {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("the server is not ready: %d %s", status, body)
		}
	}
}

// A token that was copied before the logout on one server is refused by the other, with either store.
func TestRevokedTokens(t *testing.T) {
	for kind, configure := range map[config.StoreKind]func(t *testing.T, c *config.Config){
		config.StoreValkey: func(t *testing.T, c *config.Config) {
			c.ValkeyAddress = storeserver.ForTest(t, storeserver.Valkey).Addr
		},
		config.StoreDynamoDB: func(t *testing.T, c *config.Config) {
			c.DynamoDBEndpoint, c.DynamoDBTable, c.Region = storeserver.ForTest(t, storeserver.DynamoDB).Endpoint, "revocations-of-app", "eu-west-1"
			client := dynamodb.NewClient(aws.Config{
				Region: c.Region, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
			}, c.DynamoDBEndpoint)
			must.Succeed(t, dynamodb.CreateRevocationTable(t.Context(), client, c.DynamoDBTable))
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			const within = 3 * time.Second
			var shared config.Config
			configure(t, &shared)
			key := newTokenKey(t)
			var urls []string
			for range 2 {
				url, _, _ := serve(t, func(c *config.Config) {
					tokenConfig(c)
					c.ValkeyAddress, c.DynamoDBEndpoint, c.DynamoDBTable, c.Region =
						shared.ValkeyAddress, shared.DynamoDBEndpoint, shared.DynamoDBTable, shared.Region
					c.TokenKeys, c.TokenRevocation, c.TokenRevocationWithin, c.StoreTimeout = key, kind, within, 20*time.Second
				})
				awaitReady(t, url)
				urls = append(urls, url)
			}
			do := func(c *sessiontest.Client, server int, method, path, form, want string) {
				t.Helper()
				var response sessiontest.Response
				for range 3 { // a slow machine may not read the list in time
					awaitReady(t, urls[server])
					var err error
					if response, err = c.Do(t.Context(), method, urls[server]+path, form, "Accept: application/json"); err != nil {
						t.Fatal(err)
					}
					if response.StatusCode != http.StatusServiceUnavailable {
						break
					}
				}
				if response.StatusCode != http.StatusOK || !strings.Contains(response.Body, want) {
					t.Errorf("%s %s: %d %s, want %s", method, path, response.StatusCode, response.Body, want)
				}
			}
			for _, end := range []string{"/logout", "/logout/everywhere"} {
				owner := sessiontest.NewClient()
				do(owner, 0, "POST", "/login", "user=ada", `"user":"ada"`)
				thief := owner.Clone()
				do(thief, 1, "GET", "/api/session", "", `"user":"ada"`)
				do(owner, 0, "POST", end, "", `"authenticated":false`)
				do(thief, 0, "GET", "/api/session", "", `"authenticated":false`)
				time.Sleep(within) // the promise
				do(thief, 1, "GET", "/api/session", "", `"authenticated":false`)
			}
		})
	}
}

// Other services read the public keys, and clients without cookies send the token in a header. Without RSA keys there is no key
// set. The keys may be in a file.
func TestTokenKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.pem")
	must.Succeed(t, os.WriteFile(file, []byte(newTokenKey(t)), 0o600))
	url, _, _ := serve(t, func(c *config.Config) { tokenConfig(c); c.TokenKeys = file })
	if status, body := get(t, url+"/.well-known/jwks.json"); status != http.StatusOK || !strings.Contains(body, `"alg":"RS256"`) ||
		strings.Contains(body, `"d"`) {
		t.Errorf("the key set: %d %s", status, body)
	}
	client := sessiontest.NewClient()
	must.Get(client.Do(t.Context(), "POST", url+"/login", "user=ada"))(t)
	response, err := sessiontest.NewClient().Do(t.Context(), "GET", url+"/api/session", "", "Authorization: Bearer "+client.Cookies()["session"])
	if err != nil || !strings.Contains(response.Body, `"user":"ada"`) {
		t.Errorf("with the token in a header: %v, %v", response, err)
	}
	plain, _, _ := serve(t, tokenConfig)
	if status, _ := get(t, plain+"/.well-known/jwks.json"); status != http.StatusNotFound {
		t.Errorf("the key set without RSA keys: status %d, want 404", status)
	}
}

func TestBadTokenKeys(t *testing.T) {
	for keys, says := range map[string]string{
		"/nowhere/keys.pem": "TOKEN_KEYS: open /nowhere/keys.pem",
		"-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----\n": `TOKEN_KEYS: RSA key 1: the PEM block is a "EC PRIVATE KEY"`,
	} {
		c := config.Default()
		tokenConfig(&c)
		c.TokenKeys = keys
		if _, err := openStorage(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
}
