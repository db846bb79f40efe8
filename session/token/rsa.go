package token

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// RSAKeys are RSA keys. The first key signs if it is a private one, and all keys verify. The zero RSAKeys has none. Printing
// RSAKeys, or a value that contains them, does not show private keys.
//
// Rotate in the order that package sealing describes, so that every server and every cached key set knows a key before it
// signs: "old, new", then "new, old", then "new". To introduce RS256, begin with the public key of the new key alone: servers
// then verify its tokens, and the secret keys still sign.
type RSAKeys struct {
	// Package fmt prints the address of a function, not its closure.
	list []func() (*rsa.PrivateKey, jose.JSONWebKey) // the private key, or nil, and the public key
}

const (
	maxRSAKeys = 8 // bounds the work that a forged token causes
	minRSABits = 2048
	maxRSABits = 4096 // a signature takes 683 characters
)

// ParseRSAKeys parses 1 to 8 different RSA keys of 2048 to 4096 bits in PEM, one after the other, as printed by
//
//	openssl genrsa 2048
//	openssl rsa -pubout
//
// An error never contains any part of a key.
func ParseRSAKeys(text string) (RSAKeys, error) {
	const allowed = "allowed are 1 to 8 different RSA keys of 2048 to 4096 bits in PEM, without a passphrase, as printed by: openssl genrsa 2048"
	var keys RSAKeys
	known := map[string]int{}
	rest := []byte(text)
	for n := 1; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		private, public, err := parseRSAKey(block)
		if err != nil {
			return RSAKeys{}, fmt.Errorf("RSA key %d: %w: %s", n, err, allowed)
		}
		jwk := jose.JSONWebKey{Key: public, Algorithm: string(jose.RS256), Use: "sig"}
		thumbprint, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			return RSAKeys{}, fmt.Errorf("RSA key %d: %w", n, err)
		}
		jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
		if same := known[jwk.KeyID]; same > 0 {
			return RSAKeys{}, fmt.Errorf("RSA keys %d and %d are the same: %s", same, n, allowed)
		}
		known[jwk.KeyID] = n
		keys.list = append(keys.list, func() (*rsa.PrivateKey, jose.JSONWebKey) { return private, jwk })
	}
	if n := len(keys.list); n == 0 || n > maxRSAKeys {
		return RSAKeys{}, fmt.Errorf("RSA keys: there are %d: %s", n, allowed)
	}
	if strings.TrimSpace(string(rest)) != "" {
		return RSAKeys{}, fmt.Errorf("RSA keys: the text after key %d is not PEM: %s", len(keys.list), allowed)
	}
	return keys, nil
}

func parseRSAKey(block *pem.Block) (private *rsa.PrivateKey, public *rsa.PublicKey, err error) {
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, nil, fmt.Errorf("the PEM block is a %.40q", block.Type)
	}
	if err != nil {
		return nil, nil, errors.New("the PEM block is damaged")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		private, public = key, &key.PublicKey
	case *rsa.PublicKey:
		public = key
	default:
		return nil, nil, errors.New("it is no RSA key")
	}
	if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, nil, fmt.Errorf("it has %d bits", bits)
	}
	return private, public, nil
}

// keys returns the private key that signs, or nil, and the public keys.
func (k RSAKeys) keys() (signs *rsa.PrivateKey, public []jose.JSONWebKey) {
	for i, key := range k.list {
		private, jwk := key()
		if i == 0 {
			signs = private
		}
		public = append(public, jwk)
	}
	return signs, public
}

// keySetSeconds is how long others may cache the key set. A deployment that changes the keys takes longer, so a new key is known
// everywhere before it signs.
const keySetSeconds = 300

// KeySetHandler returns a handler for /.well-known/jwks.json: the public RSA keys as a JSON Web Key Set (RFC 7517), which others
// may cache for 5 minutes. It never serves secret or private keys.
func (s *Codec) KeySetHandler() http.Handler {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range s.keys.Keys {
		if _, ok := key.Key.(*rsa.PublicKey); ok {
			set.Keys = append(set.Keys, key)
		}
	}
	text, err := json.Marshal(set)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", keySetSeconds))
		_, _ = w.Write(text) // an error means that the client has gone
	})
}
