package logintest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// A store is the storage of the library's example, with a signing key that can change and with the users Ann and Bob.
type store struct {
	*storage.Storage
	key       atomic.Pointer[key]
	redirects []string
}

func newStore(redirects []string) *store {
	s := &store{redirects: redirects}
	s.Storage = storage.NewStorageWithClients(users{}, map[string]*storage.Client{
		ClientID:       storage.NativeClient(ClientID, redirects...),
		SecretClientID: storage.WebClient(SecretClientID, ClientSecret, redirects...),
	})
	s.key.Store(newKey())
	return s
}

func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found, s.redirects}, nil
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.key.Load(), nil }

func (s *store) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey{s.key.Load()}}, nil
}

// A client gets the user's claims in the ID token, and may redirect to its root after a logout.
type client struct {
	op.Client
	redirects []string
}

func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

func (client) DevMode() bool { return true } // allows redirect addresses without TLS

func (c client) PostLogoutRedirectURIs() []string {
	var roots []string
	for _, redirect := range c.redirects {
		roots = append(roots, strings.TrimSuffix(redirect, "login/callback"))
	}
	return roots
}

type users struct{}

func (users) ExampleClientID() string { return "service" }

func (users) GetUserByID(id string) *storage.User {
	for _, user := range []string{"ann", "bob"} {
		if id == "subject-of-"+user {
			return &storage.User{
				ID: id, Username: user, Password: Password, Email: user + "@example.com", EmailVerified: true,
			}
		}
	}
	return nil
}

func (u users) GetUserByUsername(name string) *storage.User {
	return u.GetUserByID("subject-of-" + name)
}

// A key is the signing key, and publicKey its public part.
type key struct {
	id      string
	private *rsa.PrivateKey
}

type publicKey struct{ *key }

func newKey() *key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand doesn't fail
	}
	return &key{strconv.FormatUint(private.N.Uint64(), 36), private}
}

func (k *key) ID() string                                  { return k.id }
func (k *key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *key) Key() any                                    { return k.private }
func (k publicKey) Algorithm() jose.SignatureAlgorithm     { return jose.RS256 }
func (k publicKey) Use() string                            { return "sig" }
func (k publicKey) Key() any                               { return &k.private.PublicKey }
