package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/valkey-io/valkey-go"
)

// bareValkeyCalls is the floor: what a session in a hash costs at least. It finds the hash by the SHA-256 of the cookie
// and makes one round trip, HGETALL or one script, with the client as it comes.
type bareValkeyCalls struct {
	client valkey.Client
	add    *valkey.Lua
}

// addScript adds a visit to a session that exists, and prolongs it.
const addScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then
	return redis.error_reply('no session')
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'visits', 1)`

func openBareValkey(store string) (library, error) {
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{store}, DisableCache: true})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", store, err)
	}
	return &bareValkeyCalls{client: client, add: valkey.NewLuaScript(addScript)}, nil
}

func (b *bareValkeyCalls) Wrap(next http.Handler) http.Handler { return next }

func (b *bareValkeyCalls) Close() { b.client.Close() }

func (b *bareValkeyCalls) Start(w http.ResponseWriter, r *http.Request) error {
	secret := newSecret()
	fields := b.client.B().Hset().Key(hashedKey(secret)).FieldValue().FieldValue("visits", "0")
	for _, s := range seed {
		fields = fields.FieldValue(s.key, s.value)
	}
	if err := b.client.Do(r.Context(), fields.Build()).Error(); err != nil {
		return err
	}
	return setCookie(w, secret)
}

func (b *bareValkeyCalls) Visits(r *http.Request) (int64, error) {
	key, err := cookieKey(r)
	if err != nil {
		return 0, err
	}
	fields, err := b.client.Do(r.Context(), b.client.B().Hgetall().Key(key).Build()).AsStrMap()
	if err != nil || len(fields) == 0 {
		return 0, err
	}
	return strconv.ParseInt(fields["visits"], 10, 64)
}

func (b *bareValkeyCalls) Add(_ http.ResponseWriter, r *http.Request) (int64, error) {
	key, err := cookieKey(r)
	if err != nil {
		return 0, err
	}
	idle := strconv.FormatInt(idleTimeout.Milliseconds(), 10)
	return b.add.Exec(context.WithoutCancel(r.Context()), b.client, []string{key}, []string{idle}).AsInt64()
}

func (b *bareValkeyCalls) Logout(_ http.ResponseWriter, r *http.Request) error {
	key, err := cookieKey(r)
	if err != nil {
		return err
	}
	return b.client.Do(r.Context(), b.client.B().Del().Key(key).Build()).Error()
}

// cookieKey is the store's key of the request's session.
func cookieKey(r *http.Request) (string, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return "", err
	}
	return hashedKey(cookie.Value), nil
}

func hashedKey(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "bare:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func newSecret() string {
	var secret [32]byte
	rand.Read(secret[:])
	return base64.RawURLEncoding.EncodeToString(secret[:])
}

func setCookie(w http.ResponseWriter, value string) error {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: value, Path: "/", HttpOnly: true})
	return nil
}

// storeVersion asks a server which program it is, and of which version.
func storeVersion(ctx context.Context, addr string) (string, error) {
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, DisableCache: true})
	if err != nil {
		return "", fmt.Errorf("connect to %s: %w", addr, err)
	}
	defer client.Close()
	info, err := client.Do(ctx, client.B().Info().Section("server").Build()).ToString()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", addr, err)
	}
	version := "an unknown store"
	for line := range strings.Lines(info) {
		// Valkey says both; its own is the later line.
		for _, program := range []string{"redis", "valkey"} {
			if number, found := strings.CutPrefix(line, program+"_version:"); found {
				version = program + " " + strings.TrimSpace(number)
			}
		}
	}
	return version, nil
}
