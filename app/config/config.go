// Package config defines the configuration that the server reads from its environment variables. The server parses it with
// Parse, the stacks render it into the environment file of an instance, and the lab renders it for local processes. No other
// package spells a variable name. Start reading at Config; variables.go has the name, default and allowed values of each
// field.
package config

import (
	"time"
)

// StoreKind is the kind of a session store.
type StoreKind string

// The session stores that the server supports.
const (
	StoreDynamoDB  StoreKind = "dynamodb"  // an Amazon DynamoDB table
	StoreValkey    StoreKind = "valkey"    // ElastiCache for Valkey or Redis OSS, or any Valkey or Redis server
	StoreMemcached StoreKind = "memcached" // ElastiCache for Memcached, or any Memcached server
	StorePostgres  StoreKind = "postgres"  // Aurora or RDS for PostgreSQL, or any PostgreSQL server
	StoreCookie    StoreKind = "cookie"    // an encrypted cookie in the visitor's browser
	StoreToken     StoreKind = "token"     // a signed token in a cookie, which can't change after login
	StoreMemory    StoreKind = "memory"    // the memory of the process; for one server, or behind sticky sessions
)

// StoreKinds returns every kind, in the order of error messages.
func StoreKinds() []StoreKind {
	return []StoreKind{StoreDynamoDB, StoreValkey, StoreMemcached, StorePostgres, StoreCookie, StoreToken, StoreMemory}
}

// ServerSide reports whether the store keeps sessions on the server side and not in the visitor's browser. Sessions can
// migrate between server-side stores.
func (s StoreKind) ServerSide() bool { return s != StoreCookie && s != StoreToken }

// A StalePolicy selects how a server responds to tokens while it can't read the list of revoked tokens.
type StalePolicy string

// The policies.
const (
	StaleRefuse StalePolicy = "refuse" // respond 503 to requests that use a session
	StaleAccept StalePolicy = "accept" // accept tokens that the server doesn't know to be revoked
)

// LoginCallback is the path of OIDC_REDIRECT_URL.
const LoginCallback = "/login/callback"

// Config holds the values of all environment variables of the server. The method variables has, for each field, the name of
// its variable, the default and the allowed values.
type Config struct {
	// Addr is the address that the web server listens on.
	Addr string
	// AdminAddr is the address of the admin server, which serves /metrics. It must be a loopback address, because visitors
	// must not see metrics.
	AdminAddr string
	// ServerName is the value of X-Served-By. It defaults to the host name.
	ServerName string
	// Zone is the availability zone that the page shows.
	Zone string

	// Store is the session store.
	Store StoreKind
	// StoreURL is the URL of a session store that was added to the server. The built-in stores have variables of their own.
	StoreURL string
	// MigrateFrom is the store that sessions migrate from. Each session moves to the new store when it is next used. It is
	// the second step of a migration (docs/migrate.md).
	MigrateFrom StoreKind
	// MigrateTo is the store that sessions will migrate to. Until then they stay in the old store. It is the first step of a
	// migration.
	MigrateTo StoreKind
	// IdleTimeout is the shortest time without use after which a session ends. The longest is half as much again: a policy
	// of at most 15 minutes needs 10m.
	IdleTimeout time.Duration
	// Lifetime is the time after its creation after which a session ends, even if it is in use.
	Lifetime time.Duration
	// StoreTimeout bounds each operation on the store. After it the visitor gets a 503.
	StoreTimeout time.Duration
	// PlainHTTP must be true if visitors connect without TLS. The session cookie then has neither __Host- nor Secure.
	PlainHTTP bool

	// ValkeyAddress is the endpoint of the Valkey or Redis server: of a cluster the configuration endpoint, otherwise the
	// primary.
	ValkeyAddress string
	// ValkeyTLS turns on TLS to the Valkey server.
	ValkeyTLS bool
	// ValkeyUser is the ElastiCache user for IAM authentication. Empty means no authentication.
	ValkeyUser string
	// ValkeyCacheName is the name of the replication group or serverless cache, for IAM authentication.
	ValkeyCacheName string
	// ValkeyServerless must be true if VALKEY_CACHE_NAME is a serverless cache, whose IAM authentication differs.
	ValkeyServerless bool

	// DynamoDBTable is the name of the table.
	DynamoDBTable string
	// DynamoDBEndpoint replaces the region's endpoint, for DynamoDB Local.
	DynamoDBEndpoint string
	// DynamoDBReplicated must be true if other regions have replicas of the table. Between regions the last writer wins.
	DynamoDBReplicated bool
	// DynamoDBDAX is the discovery endpoint of a DAX cluster in front of the table. Reads are then eventually consistent.
	DynamoDBDAX string
	// DynamoDBEventualReads makes reads eventually consistent. It halves their price and gives up read-your-writes.
	DynamoDBEventualReads bool
	// DynamoDBBatchReads sends reads that overlap in one request. Under load it halves the CPU time of a read at the same price,
	// and delays a read by up to 1 ms. It has no effect on eventually consistent reads.
	DynamoDBBatchReads bool
	// MemcachedAddresses are the addresses of the nodes. Every server must have the same list.
	MemcachedAddresses []string
	// MemcachedTLS turns on TLS to the nodes.
	MemcachedTLS bool

	// PostgresURL is a libpq connection string. With IAM authentication it has no password.
	PostgresURL string
	// PostgresIAM turns on IAM authentication: the password of each connection is an authentication token.
	PostgresIAM bool

	// SessionKeys are the keys that encrypt cookies, sign tokens, and encrypt the state of logins in progress. The server
	// writes with the first key and accepts all of them. To rotate, deploy three times: old,new, then new,old, then new.
	SessionKeys string

	// TokenKeys are RSA keys in PEM that sign tokens (RS256), so that other services can verify them with the public keys of
	// /.well-known/jwks.json. The server signs with the first key and accepts all of them, and the tokens that SessionKeys
	// sign. If the first key is a public key, SessionKeys sign. Empty means that SessionKeys sign (HS256).
	TokenKeys string
	// TokenIssuer is the claim "iss" of tokens. Tokens with another issuer are refused.
	TokenIssuer string
	// TokenRevocation is the store of the list of revoked tokens, valkey or dynamodb, with the variables of that store. Empty
	// means that a copy of a token is valid until it expires.
	TokenRevocation StoreKind
	// TokenRevocationWithin is the time after a logout in which every server refuses the token.
	TokenRevocationWithin time.Duration
	// TokenRevocationStale selects whether a server refuses or accepts tokens when it could not read the list for longer than
	// TokenRevocationWithin.
	TokenRevocationStale StalePolicy

	// OIDCIssuer is the OpenID Connect provider that authenticates visitors, exactly as the issuer in its
	// /.well-known/openid-configuration. Empty means that the server accepts any user name.
	OIDCIssuer string
	// OIDCClientID is the application's client id at the provider.
	OIDCClientID string
	// OIDCClientSecret is the application's secret at the provider. It is empty for a public client, which uses PKCE only.
	OIDCClientSecret string
	// OIDCRedirectURL is the address that the provider redirects visitors to, as registered there. The server doesn't derive
	// it from requests, because clients choose their Host header.
	OIDCRedirectURL string

	// Region is the AWS region of the store. It is required for dynamodb and for IAM authentication.
	Region string

	// KeepAlive is how long the server keeps an idle connection. It must exceed the load balancer's idle timeout (60 s on
	// an ALB). Otherwise the load balancer may send a request on a connection that the server is closing, and visitors get
	// a 502.
	KeepAlive time.Duration
	// MaxConnections is the maximum number of open connections. Visitors beyond it get a 503 at once. The limit of file
	// descriptors may lower it, and so may memory: the connections get three eighths of GOMEMLIMIT, at 704 KB each.
	// GOMEMLIMIT defaults to nine tenths of the memory limit of the process's cgroup, or of the machine's memory. The
	// server's first log line has the effective number.
	MaxConnections int
	// ShutdownDelay is how long the server keeps accepting requests after SIGTERM, while /readyz answers 503, so that load
	// balancers stop sending requests first.
	ShutdownDelay time.Duration
	// DrainTimeout bounds the time from SIGTERM to exit. Requests in flight have until then to finish.
	DrainTimeout time.Duration

	// AllowDelay turns on ?delay= on the routes below /api/, for experiments that need slow requests. Never use it in
	// production.
	AllowDelay bool
	// Sticky says that the load balancer sends each visitor to the same server. The page describes sessions accordingly.
	Sticky bool
	// FleetPage is the path of a page about the fleet that the load balancer serves. The page links it. The lab sets it.
	FleetPage string
}

// Uses reports whether sessions are in the store or migrate to or from it, or the list of revoked tokens is there.
func (c Config) Uses(store StoreKind) bool {
	return store == c.Store || store == c.MigrateFrom || store == c.MigrateTo || store == c.TokenRevocation
}
