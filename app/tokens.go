package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"stateless-servers/app/config"
	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sealing"
	"stateless-servers/session/token"
)

// audience is the claim "aud" of tokens.
const audience = "stateless-servers"

// openCodec returns the codec of cookies or tokens. It follows the list of revoked tokens, if there is one, until close.
func (s *storage) openCodec(ctx context.Context, c config.Config, logger *slog.Logger) (session.Codec, error) {
	keys, err := sealing.ParseKeys(c.SessionKeys)
	if err != nil {
		return nil, err
	}
	if c.Store == config.StoreCookie {
		return cookie.New(keys, cookieName)
	}
	options := token.Options{Issuer: c.TokenIssuer, Audience: audience}
	if c.TokenKeys != "" {
		if options.RSAKeys, err = readTokenKeys(c.TokenKeys); err != nil {
			return nil, err
		}
	}
	codec, err := token.New(keys, options)
	if err != nil {
		return nil, err
	}
	if c.TokenKeys != "" {
		s.keySet = codec.KeySetHandler()
	}
	if c.TokenRevocation == "" {
		return codec, nil
	}
	follower, err := revocation.New(s.openRevocations(c), revocation.Options{
		Within: c.TokenRevocationWithin, AcceptStale: c.TokenRevocationStale == config.StaleAccept,
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() {
		follower.Follow(ctx, func(err error) { logger.Warn("following the list of revoked tokens", "error", err) })
	})
	s.closers = append([]func(){func() { stop(); background.Wait() }}, s.closers...) // before the store of the list
	return follower.Codec(codec), nil
}

// readTokenKeys parses TOKEN_KEYS, or the file that it names.
func readTokenKeys(value string) (token.RSAKeys, error) {
	if filepath.IsAbs(value) {
		text, err := os.ReadFile(value)
		if err != nil {
			return token.RSAKeys{}, fmt.Errorf("TOKEN_KEYS: %w", err)
		}
		value = string(text)
	}
	keys, err := token.ParseRSAKeys(value)
	if err != nil {
		return keys, fmt.Errorf("TOKEN_KEYS: %w", err)
	}
	return keys, nil
}

// openRevocations opens the list of revoked tokens.
func (s *storage) openRevocations(c config.Config) revocation.List {
	if c.TokenRevocation == config.StoreDynamoDB {
		return dynamodb.NewRevocations(newDynamoDBClient(c), c.DynamoDBTable)
	}
	return s.newValkey(c).Revocations()
}
