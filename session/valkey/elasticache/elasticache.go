// Package elasticache authenticates at Amazon ElastiCache by IAM. It is a package of its own so that users of package valkey
// who don't need it compile nothing of the AWS SDK.
package elasticache

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"stateless-servers/session/valkey"
)

// IAM returns the credentials of an ElastiCache user who authenticates by IAM at a replication group. The user's id and name
// are the same, and cache is the id of the replication group. The password is a presigned request to connect, which is valid
// for 15 minutes and made for each connection. The Amazon ElastiCache User Guide, "Authenticating with IAM", defines its
// format.
func IAM(provider aws.CredentialsProvider, region, user, cache string) valkey.Credentials {
	return presigned(provider, region, cache, url.Values{"User": {user}})
}

// IAMServerless returns the same as IAM for a serverless cache of that name.
func IAMServerless(provider aws.CredentialsProvider, region, user, cache string) valkey.Credentials {
	return presigned(provider, region, cache, url.Values{"User": {user}, "ResourceType": {"ServerlessCache"}})
}

func presigned(provider aws.CredentialsProvider, region, cache string, query url.Values) valkey.Credentials {
	const (
		validSeconds = "900"
		emptySHA256  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	)
	query.Set("Action", "connect")
	query.Set("X-Amz-Expires", validSeconds)
	address := (&url.URL{Scheme: "http", Host: cache, Path: "/", RawQuery: query.Encode()}).String()
	signer := v4.NewSigner()
	return func(ctx context.Context) (string, string, error) {
		keys, err := provider.Retrieve(ctx)
		if err != nil {
			return "", "", fmt.Errorf("credentials for ElastiCache: %w", err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return "", "", fmt.Errorf("request to sign for ElastiCache: %w", err)
		}
		signed, _, err := signer.PresignHTTP(ctx, keys, request, emptySHA256, "elasticache", region, time.Now())
		if err != nil {
			return "", "", fmt.Errorf("sign for ElastiCache: %w", err)
		}
		return query.Get("User"), strings.TrimPrefix(signed, "http://"), nil
	}
}
