package valkey

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// IAM returns the Credentials of an ElastiCache user who authenticates by IAM: as the password a presigned request to
// connect, valid for 15 minutes, made afresh for every connection. The user's id and name are the same, and the cache is
// a replication group's id. The format is that of the Amazon ElastiCache User Guide, "Authenticating with IAM".
func IAM(provider aws.CredentialsProvider, region, user, cache string) Credentials {
	return presigned(provider, region, cache, url.Values{"User": {user}})
}

// IAMServerless returns what IAM does, for a serverless cache of that name.
func IAMServerless(provider aws.CredentialsProvider, region, user, cache string) Credentials {
	return presigned(provider, region, cache, url.Values{"User": {user}, "ResourceType": {"ServerlessCache"}})
}

func presigned(provider aws.CredentialsProvider, region, cache string, query url.Values) Credentials {
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
