// Package config is the one contract between infrastructure and server: everything that the server reads from its
// environment. The server parses it, the stacks render it into the instance's environment file, and the lab renders it
// for local processes, so that no variable name is spelled twice.
package config

import (
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Store names a place where sessions live.
type Store string

// The stores that the server can be told to use.
const (
	StoreDynamoDB  Store = "dynamodb"  // an Amazon DynamoDB table
	StoreValkey    Store = "valkey"    // ElastiCache for Valkey or Redis OSS, or any server of the kind
	StoreMemcached Store = "memcached" // ElastiCache for Memcached, or any server of the kind
	StorePostgres  Store = "postgres"  // Aurora or RDS for PostgreSQL, or any server of the kind
	StoreCookie    Store = "cookie"    // the visitor's sealed cookie
	StoreToken     Store = "token"     // a signed token that is only read after login
	StoreMemory    Store = "memory"    // this process; only for one server, or behind sticky sessions
)

// Stores lists every Store, in the order in which messages name them.
func Stores() []Store {
	return []Store{StoreDynamoDB, StoreValkey, StoreMemcached, StorePostgres, StoreCookie, StoreToken, StoreMemory}
}

// OnServers tells whether sessions are kept on servers, so that they can move to another such store.
func (s Store) OnServers() bool { return s != StoreCookie && s != StoreToken }

// LoginCallback is the path of the server that OIDC_REDIRECT_URL ends with.
const LoginCallback = "/login/callback"

// Config is what the server reads from its environment. The tag env is the variable, envDefault its default, and
// allowed says what a value must be; Parse reports values that are not.
type Config struct {
	// Addr is where the web server listens.
	Addr string `env:"ADDR" envDefault:":8080" allowed:"host:port or :port"`
	// AdminAddr is where /metrics is served. It must be loopback: metrics are no visitor's business.
	AdminAddr string `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9090" allowed:"a loopback host:port"`
	// ServerName is the value of X-Served-By. It defaults to the host name.
	ServerName string `env:"SERVER_NAME" allowed:"1 to 64 letters, digits, dots and hyphens"`
	// Zone is the availability zone that the page shows.
	Zone string `env:"ZONE" envDefault:"local" allowed:"1 to 64 letters, digits, dots and hyphens"`

	// Store is where sessions live.
	Store Store `env:"SESSION_STORE" envDefault:"memory" allowed:"dynamodb, valkey, memcached, postgres, cookie, token, memory or an added store"`
	// StoreURL is what a store needs to know that was added to the server beyond Stores. Such stores have one value for
	// everything.
	StoreURL string `env:"STORE_URL" secret:"true" allowed:"what the package of an added store says; the other stores have variables of their own"`
	// MigrateFrom is the store that sessions move away from, each when it is next used; Store is where they go. It is the
	// second step of a move between stores (package migrate).
	MigrateFrom Store `env:"SESSION_MIGRATE_FROM" allowed:"a store on servers other than SESSION_STORE, or empty"`
	// MigrateTo is the store that sessions will move to; until then they stay in Store. It is the first step of a move.
	MigrateTo Store `env:"SESSION_MIGRATE_TO" allowed:"a store on servers other than SESSION_STORE, or empty; not with SESSION_MIGRATE_FROM"`
	// IdleTimeout ends a session that nobody has used for that long.
	IdleTimeout time.Duration `env:"SESSION_IDLE_TIMEOUT" envDefault:"30m" allowed:"a duration from 1s to 720h, at most SESSION_LIFETIME, such as 30m"`
	// Lifetime ends a session that long after its start, used or not.
	Lifetime time.Duration `env:"SESSION_LIFETIME" envDefault:"24h" allowed:"a duration from 1s to 8760h, such as 24h"`
	// StoreTimeout bounds each operation on the store; after it the visitor gets a 503.
	StoreTimeout time.Duration `env:"STORE_TIMEOUT" envDefault:"800ms" allowed:"a duration from 10ms to 30s, such as 800ms"`
	// PlainHTTP says that visitors reach the server without TLS: the session cookie loses __Host- and Secure.
	PlainHTTP bool `env:"PLAIN_HTTP" envDefault:"false" allowed:"true or false"`

	// ValkeyAddress is the endpoint of the Valkey or Redis server: the configuration endpoint of a cluster, else the primary.
	ValkeyAddress string `env:"VALKEY_ADDRESS" allowed:"host:port; required when SESSION_STORE=valkey"`
	// ValkeyTLS turns on TLS to the Valkey server.
	ValkeyTLS bool `env:"VALKEY_TLS" envDefault:"false" allowed:"true or false"`
	// ValkeyUser is the ElastiCache user of IAM authentication; empty means no authentication.
	ValkeyUser string `env:"VALKEY_USER" allowed:"an ElastiCache user id; needs VALKEY_CACHE_NAME, AWS_REGION and VALKEY_TLS=true"`
	// ValkeyCacheName is the replication group or serverless cache that IAM authentication signs for.
	ValkeyCacheName string `env:"VALKEY_CACHE_NAME" allowed:"the name of a replication group or serverless cache"`
	// ValkeyServerless says that VALKEY_CACHE_NAME is a serverless cache, for which IAM authentication signs otherwise.
	ValkeyServerless bool `env:"VALKEY_SERVERLESS" envDefault:"false" allowed:"true or false"`

	// DynamoDBTable is the name of the table.
	DynamoDBTable string `env:"DYNAMODB_TABLE" allowed:"a table name; required when SESSION_STORE=dynamodb"`
	// DynamoDBEndpoint replaces the region's endpoint, for DynamoDB Local.
	DynamoDBEndpoint string `env:"DYNAMODB_ENDPOINT" allowed:"an http:// or https:// address"`
	// DynamoDBReplicated says that other regions have replicas of the table, between which the last writer wins.
	DynamoDBReplicated bool `env:"DYNAMODB_REPLICATED" envDefault:"false" allowed:"true or false"`
	// DynamoDBDAX is the discovery endpoint of a DAX cluster in front of the table. Reads are then eventual, from its cache.
	DynamoDBDAX string `env:"DYNAMODB_DAX" allowed:"daxs://host:port, or dax://host:port without TLS; not with DYNAMODB_REPLICATED=true, whose changes DAX doesn't see"`
	// DynamoDBEventualReads halves the price of reads and gives up read-your-writes.
	DynamoDBEventualReads bool `env:"DYNAMODB_EVENTUAL_READS" envDefault:"false" allowed:"true or false"`
	// MemcachedAddresses are the nodes; every server must have the same list.
	MemcachedAddresses []string `env:"MEMCACHED_ADDRESSES" allowed:"host:port,host:port…; required when SESSION_STORE=memcached"`
	// MemcachedTLS turns on TLS to the nodes.
	MemcachedTLS bool `env:"MEMCACHED_TLS" envDefault:"false" allowed:"true or false"`

	// PostgresURL is a connection string of libpq, without a password where IAM authentication is on.
	PostgresURL string `env:"POSTGRES_URL" secret:"true" allowed:"postgres://user@host:port/database?sslmode=verify-full…; required when SESSION_STORE=postgres"`
	// PostgresIAM makes the password of each connection an IAM authentication token.
	PostgresIAM bool `env:"POSTGRES_IAM" envDefault:"false" allowed:"true or false; true needs AWS_REGION"`

	// SessionKeys seal cookies and sign tokens, and seal logins that are under way: the first seals, all open. Rotate in
	// three deployments: old,new, then new,old, then new.
	SessionKeys string `env:"SESSION_KEYS" secret:"true" allowed:"1 to 8 keys of 32 bytes in base64, separated by commas; required when SESSION_STORE is cookie or token, and with OIDC_ISSUER"`

	// OIDCIssuer is the OpenID Connect provider that says who visitors are; empty means that whoever they claim to be is
	// believed. It is the issuer exactly as the provider's /.well-known/openid-configuration has it.
	OIDCIssuer string `env:"OIDC_ISSUER" allowed:"an https:// address without query (http:// only of a loopback address); needs OIDC_CLIENT_ID, OIDC_REDIRECT_URL and SESSION_KEYS"`
	// OIDCClientID is the server's id at the provider.
	OIDCClientID string `env:"OIDC_CLIENT_ID" allowed:"the id of a client of OIDC_ISSUER; required with it, and not without"`
	// OIDCClientSecret is empty for a public client, for which PKCE stands alone.
	OIDCClientSecret string `env:"OIDC_CLIENT_SECRET" secret:"true" allowed:"the client's secret; empty for a public client, and without OIDC_ISSUER"`
	// OIDCRedirectURL is where the provider leads visitors back to, as registered there. It isn't taken from requests: their
	// Host is what a client says.
	OIDCRedirectURL string `env:"OIDC_REDIRECT_URL" allowed:"https://HOST/login/callback (http:// with PLAIN_HTTP=true); required with OIDC_ISSUER, and not without"`

	// Region is the AWS region of the store; required for dynamodb, and with IAM authentication.
	Region string `env:"AWS_REGION" allowed:"an AWS region such as eu-west-1; required when SESSION_STORE=dynamodb, and with IAM authentication"`

	// KeepAlive is how long the server keeps an idle connection. It must exceed the load balancer's idle timeout (60 s on
	// an ALB), or the balancer sends requests into connections that the server is closing, which visitors see as 502.
	KeepAlive time.Duration `env:"KEEP_ALIVE" envDefault:"75s" allowed:"a duration from 1s to 4000s, such as 75s"`
	// MaxConnections is how many connections the server keeps open; more visitors get a 503 at once. It is lowered to what
	// the limit of file descriptors allows, and to what fits in three eighths of GOMEMLIMIT at 704 KB each. Unless that is
	// set, it is nine tenths of the memory limit of the process's cgroup, or of the machine's memory. The server's first line in
	// the log says how many remain.
	MaxConnections int `env:"MAX_CONNECTIONS" envDefault:"4096" allowed:"a number from 16 to 1000000"`
	// ShutdownDelay is how long the server goes on accepting requests after SIGTERM, with /readyz false, so that whoever
	// watches readiness stops sending.
	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" envDefault:"1s" allowed:"a duration from 0s to 60s, below DRAIN_TIMEOUT"`
	// DrainTimeout is the longest time from SIGTERM to exit. Requests in flight have until then to finish.
	DrainTimeout time.Duration `env:"DRAIN_TIMEOUT" envDefault:"40s" allowed:"a duration from 1s to 3600s, such as 40s"`

	// AllowDelay honours ?delay= on /api/ routes, for drills that need slow requests. Never on in production.
	AllowDelay bool `env:"ALLOW_DELAY" envDefault:"false" allowed:"true or false"`
}

var (
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
	regionForm   = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	urlForm      = regexp.MustCompile(`^https?://[^/\s]+/?$`)
	redirectForm = regexp.MustCompile(`^(https?)://[^/?#@\s]+` + regexp.QuoteMeta(LoginCallback) + `$`)
	daxForm      = regexp.MustCompile(`^daxs?://[^/\s:]+(:[0-9]{1,5})?$`)
	tableForm    = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`) // Amazon DynamoDB, naming rules
)

// Parse reads the environment (KEY=value strings, as of os.Environ). Variables that it doesn't know are not its
// business. A store is one of Stores, or was added to the server. The error is a Problems, which has every bad value at
// once.
func Parse(environment []string, added ...Store) (Config, error) {
	c, problems := decode(environment)
	if c.ServerName == "" && !problems.has("SERVER_NAME") {
		if name, err := os.Hostname(); err == nil && nameForm.MatchString(name) {
			c.ServerName = name
		}
	}
	c.check(&problems, added)
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// check adds a problem for every value that parsed but is not allowed.
func (c *Config) check(problems *Problems, added []Store) {
	stores := slices.Concat(Stores(), added)
	require := func(ok bool, field string) {
		if !ok {
			problems.add(c, field)
		}
	}
	between := func(d, low, high time.Duration) bool { return low <= d && d <= high }

	require(isAddress(c.Addr), "Addr")
	require(isLoopback(c.AdminAddr), "AdminAddr")
	require(nameForm.MatchString(c.ServerName), "ServerName")
	require(nameForm.MatchString(c.Zone), "Zone")
	require(slices.Contains(stores, c.Store), "Store")
	require(between(c.Lifetime, time.Second, 8760*time.Hour), "Lifetime")
	require(between(c.IdleTimeout, time.Second, min(720*time.Hour, c.Lifetime)), "IdleTimeout")
	require(between(c.StoreTimeout, 10*time.Millisecond, 30*time.Second), "StoreTimeout")
	require(between(c.KeepAlive, time.Second, 4000*time.Second), "KeepAlive")
	require(16 <= c.MaxConnections && c.MaxConnections <= 1_000_000, "MaxConnections")
	require(between(c.DrainTimeout, time.Second, time.Hour), "DrainTimeout")
	require(between(c.ShutdownDelay, 0, time.Minute) && c.ShutdownDelay < c.DrainTimeout, "ShutdownDelay")

	moves := func(other Store) bool {
		return slices.Contains(stores, other) && other != c.Store && other.OnServers() && c.Store.OnServers()
	}
	require(c.MigrateFrom == "" || moves(c.MigrateFrom), "MigrateFrom")
	require(c.MigrateTo == "" || moves(c.MigrateTo) && c.MigrateFrom == "", "MigrateTo")

	valkey := c.Uses(StoreValkey)
	require(isAddress(c.ValkeyAddress) || c.ValkeyAddress == "" && !valkey, "ValkeyAddress")
	valkeyIAM := valkey && c.ValkeyUser != ""
	require(!valkeyIAM || c.ValkeyTLS, "ValkeyUser")
	require(!valkeyIAM || c.ValkeyCacheName != "", "ValkeyCacheName")
	dynamodb := c.Uses(StoreDynamoDB)
	require(tableForm.MatchString(c.DynamoDBTable) || c.DynamoDBTable == "" && !dynamodb, "DynamoDBTable")
	require(c.DynamoDBEndpoint == "" || urlForm.MatchString(c.DynamoDBEndpoint), "DynamoDBEndpoint")
	require(c.DynamoDBDAX == "" || daxForm.MatchString(c.DynamoDBDAX) && !c.DynamoDBReplicated, "DynamoDBDAX")
	require(!slices.ContainsFunc(c.MemcachedAddresses, func(a string) bool { return !isAddress(a) }) &&
		(len(c.MemcachedAddresses) > 0 || !c.Uses(StoreMemcached)), "MemcachedAddresses")
	require(c.PostgresURL != "" || !c.Uses(StorePostgres), "PostgresURL")
	require(c.SessionKeys != "" || c.Store.OnServers() && c.OIDCIssuer == "", "SessionKeys")
	login := c.OIDCIssuer != ""
	require(!login || isIssuer(c.OIDCIssuer), "OIDCIssuer")
	require((c.OIDCClientID != "") == login, "OIDCClientID")
	require(login || c.OIDCClientSecret == "", "OIDCClientSecret")
	redirect := redirectForm.FindStringSubmatch(c.OIDCRedirectURL)
	require(login && redirect != nil && (redirect[1] == "https") == !c.PlainHTTP || !login && c.OIDCRedirectURL == "",
		"OIDCRedirectURL")
	iam := valkeyIAM || c.Uses(StorePostgres) && c.PostgresIAM
	require(regionForm.MatchString(c.Region) || c.Region == "" && !dynamodb && !iam, "Region")
}

// Uses tells whether sessions are in the store, or move to or from it.
func (c Config) Uses(store Store) bool {
	return store == c.Store || store == c.MigrateFrom || store == c.MigrateTo
}

func isAddress(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil
}

func isIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && isAddress(addr) && (host == "localhost" || net.ParseIP(host).IsLoopback())
}
