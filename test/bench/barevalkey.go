package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"

	"github.com/valkey-io/valkey-go"
)

// bareValkeyCalls is the baseline on Valkey: the least that a session in a hash costs. It finds the hash by the SHA-256 of the
// cookie and makes one round trip, HGETALL or one script, with the client's default options.
type bareValkeyCalls struct {
	noLibrary
	client valkey.Client
	add    *valkey.Lua
}

// addScript adds a visit to an existing session and extends its idle timeout.
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

// cookieKey returns the store's key of the request's session.
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
