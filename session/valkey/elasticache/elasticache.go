// Package elasticache authenticates to Amazon ElastiCache with IAM. Pass the result of IAM or IAMServerless as
// valkey.Options.Credentials. It is a separate package so that other users of package valkey don't compile the AWS SDK.
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

// IAM returns the credentials of an ElastiCache user that authenticates with IAM to a replication group. The user must have
// the same id and name. cache is the id of the replication group. The password is a presigned connect request, which is
// created for each connection and is valid for 15 minutes (Amazon ElastiCache User Guide, "Authenticating with IAM").
func IAM(provider aws.CredentialsProvider, region, user, cache string) valkey.Credentials {
	return presigned(provider, region, cache, url.Values{"User": {user}})
}

// IAMServerless does the same as IAM for a serverless cache. cache is the name of the serverless cache.
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
