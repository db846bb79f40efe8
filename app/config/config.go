// Package config is the one contract between infrastructure and server: everything that the server reads from its
// environment. The server parses it, the stacks render it into the instance's environment file, and the lab renders it
// for local processes, so that no variable name is spelled twice.
package config

import (
	"time"
)

// StoreKind names a place where sessions live.
type StoreKind string

// The stores that the server can be told to use.
const (
	StoreDynamoDB  StoreKind = "dynamodb"  // an Amazon DynamoDB table
	StoreValkey    StoreKind = "valkey"    // ElastiCache for Valkey or Redis OSS, or any server of the kind
	StoreMemcached StoreKind = "memcached" // ElastiCache for Memcached, or any server of the kind
	StorePostgres  StoreKind = "postgres"  // Aurora or RDS for PostgreSQL, or any server of the kind
	StoreCookie    StoreKind = "cookie"    // the visitor's sealed cookie
	StoreToken     StoreKind = "token"     // a signed token that is only read after login
	StoreMemory    StoreKind = "memory"    // this process; only for one server, or behind sticky sessions
)

// StoreKinds lists every Store, in the order in which messages name them.
func StoreKinds() []StoreKind {
	return []StoreKind{StoreDynamoDB, StoreValkey, StoreMemcached, StorePostgres, StoreCookie, StoreToken, StoreMemory}
}

// OnServers reports whether sessions are kept on servers, so that they can move to another such store.
func (s StoreKind) OnServers() bool { return s != StoreCookie && s != StoreToken }

// LoginCallback is the path of the server that OIDC_REDIRECT_URL ends with.
const LoginCallback = "/login/callback"

// Config has everything that the server reads from its environment. The method variables lists for each field the name of its
// variable, the default, and the values that are allowed.
type Config struct {
	// Addr is where the web server listens.
	Addr string
	// AdminAddr is where /metrics is served. It must be loopback: metrics are no visitor's business.
	AdminAddr string
	// ServerName is the value of X-Served-By. It defaults to the host name.
	ServerName string
	// Zone is the availability zone that the page shows.
	Zone string

	// Store is where sessions live.
	Store StoreKind
	// StoreURL is what a store needs to know that was added to the server beyond Stores. Such stores have one value for
	// everything.
	StoreURL string
	// MigrateFrom is the store that sessions move away from, each when it is next used; Store is where they go. It is the
	// second step of a move between stores (package migrate).
	MigrateFrom StoreKind
	// MigrateTo is the store that sessions will move to; until then they stay in Store. It is the first step of a move.
	MigrateTo StoreKind
	// IdleTimeout ends a session that nobody has used for that long.
	IdleTimeout time.Duration
	// Lifetime ends a session that long after its start, used or not.
	Lifetime time.Duration
	// StoreTimeout bounds each operation on the store; after it the visitor gets a 503.
	StoreTimeout time.Duration
	// PlainHTTP says that visitors reach the server without TLS: the session cookie loses __Host- and Secure.
	PlainHTTP bool

	// ValkeyAddress is the endpoint of the Valkey or Redis server: the configuration endpoint of a cluster, else the primary.
	ValkeyAddress string
	// ValkeyTLS turns on TLS to the Valkey server.
	ValkeyTLS bool
	// ValkeyUser is the ElastiCache user of IAM authentication; empty means no authentication.
	ValkeyUser string
	// ValkeyCacheName is the replication group or serverless cache that IAM authentication signs for.
	ValkeyCacheName string
	// ValkeyServerless says that VALKEY_CACHE_NAME is a serverless cache, for which IAM authentication signs otherwise.
	ValkeyServerless bool

	// DynamoDBTable is the name of the table.
	DynamoDBTable string
	// DynamoDBEndpoint replaces the region's endpoint, for DynamoDB Local.
	DynamoDBEndpoint string
	// DynamoDBReplicated says that other regions have replicas of the table, between which the last writer wins.
	DynamoDBReplicated bool
	// DynamoDBDAX is the discovery endpoint of a DAX cluster in front of the table. Reads are then eventual, from its cache.
	DynamoDBDAX string
	// DynamoDBEventualReads halves the price of reads and gives up read-your-writes.
	DynamoDBEventualReads bool
	// MemcachedAddresses are the nodes; every server must have the same list.
	MemcachedAddresses []string
	// MemcachedTLS turns on TLS to the nodes.
	MemcachedTLS bool

	// PostgresURL is a connection string of libpq, without a password where IAM authentication is on.
	PostgresURL string
	// PostgresIAM makes the password of each connection an IAM authentication token.
	PostgresIAM bool

	// SessionKeys seal cookies and sign tokens, and seal logins that are under way: the first seals, all open. Rotate in
	// three deployments: old,new, then new,old, then new.
	SessionKeys string

	// OIDCIssuer is the OpenID Connect provider that says who visitors are; empty means that whoever they claim to be is
	// believed. It is the issuer exactly as the provider's /.well-known/openid-configuration has it.
	OIDCIssuer string
	// OIDCClientID is the server's id at the provider.
	OIDCClientID string
	// OIDCClientSecret is empty for a public client, for which PKCE stands alone.
	OIDCClientSecret string
	// OIDCRedirectURL is where the provider leads visitors back to, as registered there. It isn't taken from requests: their
	// Host is what a client says.
	OIDCRedirectURL string

	// Region is the AWS region of the store; required for dynamodb, and with IAM authentication.
	Region string

	// KeepAlive is how long the server keeps an idle connection. It must exceed the load balancer's idle timeout (60 s on
	// an ALB), or the balancer sends requests into connections that the server is closing, which visitors see as 502.
	KeepAlive time.Duration
	// MaxConnections is how many connections the server keeps open; more visitors get a 503 at once. It is lowered to what
	// the limit of file descriptors allows, and to what fits in three eighths of GOMEMLIMIT at 704 KB each. Unless that is
	// set, it is nine tenths of the memory limit of the process's cgroup, or of the machine's memory. The server's first line in
	// the log says how many remain.
	MaxConnections int
	// ShutdownDelay is how long the server goes on accepting requests after SIGTERM, with /readyz false, so that whoever
	// watches readiness stops sending.
	ShutdownDelay time.Duration
	// DrainTimeout is the longest time from SIGTERM to exit. Requests in flight have until then to finish.
	DrainTimeout time.Duration

	// AllowDelay honours ?delay= on /api/ routes, for drills that need slow requests. Never on in production.
	AllowDelay bool
}

// Uses reports whether sessions are in the store, or move to or from it.
func (c Config) Uses(store StoreKind) bool {
	return store == c.Store || store == c.MigrateFrom || store == c.MigrateTo
}
