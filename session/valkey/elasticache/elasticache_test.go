package elasticache_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/valkey"
	"stateless-servers/session/valkey/elasticache"
)

const (
	accessKey    = "AKIDEXAMPLE"
	secretKey    = "not a secret"
	sessionToken = "token/of+role=="
)

// The format is from the Amazon ElastiCache User Guide, "Authenticating with IAM".
func TestIAM(t *testing.T) {
	provider := credentials.NewStaticCredentialsProvider(accessKey, secretKey, sessionToken)
	for name, test := range map[string]struct {
		credentials  valkey.Credentials
		resourceType []string
	}{
		"replication group": {elasticache.IAM(provider, "eu-west-1", "web-user", "sessions"), nil},
		"serverless":        {elasticache.IAMServerless(provider, "eu-west-1", "web-user", "sessions"), []string{"ServerlessCache"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now().Add(-time.Second)
			user, password, err := test.credentials(t.Context())
			must.Succeed(t, err)
			rest, ok := strings.CutPrefix(password, "sessions/?")
			if user != "web-user" || !ok {
				t.Fatalf("got user %q, password %q, want it to begin with the cache's name, without http://", user, password)
			}
			query, err := url.ParseQuery(rest)
			must.Succeed(t, err)
			made, err := time.Parse("20060102T150405Z", query.Get("X-Amz-Date"))
			if err != nil || made.Before(before) || made.After(time.Now()) {
				t.Errorf("made at %v, %v", made, err)
			}
			scope := made.Format("20060102") + "/eu-west-1/elasticache/aws4_request"
			signature := query.Get("X-Amz-Signature")
			want := url.Values{
				"Action": {"connect"}, "User": {"web-user"}, "X-Amz-Expires": {"900"}, "X-Amz-Algorithm": {"AWS4-HMAC-SHA256"},
				"X-Amz-Credential": {accessKey + "/" + scope}, "X-Amz-Date": query["X-Amz-Date"],
				"X-Amz-Security-Token": {sessionToken}, "X-Amz-SignedHeaders": {"host"},
			}
			if test.resourceType != nil {
				want["ResourceType"] = test.resourceType
			}
			query.Del("X-Amz-Signature")
			if query.Encode() != want.Encode() {
				t.Errorf("got  %v\nwant %v", query, want)
			}
			if again := sign(want, "sessions", scope); signature != again {
				t.Errorf("signature %s, want %s", signature, again)
			}
		})
	}
}

// sign computes a signature as described in the IAM User Guide, "Create a signed AWS API request".
func sign(query url.Values, host, scope string) string {
	hash := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	encoded := strings.ReplaceAll(query.Encode(), "+", "%20")
	canonical := strings.Join([]string{"GET", "/", encoded, "host:" + host, "", "host", hash("")}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", query.Get("X-Amz-Date"), scope, hash(canonical)}, "\n")
	key := []byte("AWS4" + secretKey)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, toSign))
}

func TestIAMWithoutCredentials(t *testing.T) {
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no role")
	})
	_, _, err := elasticache.IAM(provider, "eu-west-1", "web", "sessions")(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no role") {
		t.Errorf("got %v, want the error of the provider", err)
	}
}
