package config

import (
	"cmp"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"stateless-servers/app/config/allowed"
)

// A variable binds an environment variable to a field of Config.
type variable struct {
	allowed.Value
	condition func() bool // reports whether the value is allowed together with the others; nil means always
	secret    bool        // error messages don't show the value
}

func bind[T any](name string, field *T, fallback string, kind allowed.Kind[T]) variable {
	return variable{Value: allowed.Bind(name, field, fallback, kind)}
}

func (v variable) onlyIf(condition func() bool) variable {
	v.condition = condition
	return v
}

// text returns the value from the environment, or the default.
func (v variable) text(given map[string]string) string { return cmp.Or(given[v.Name], v.Default) }

func (v variable) asSecret() variable {
	v.secret = true
	return v
}

var (
	namePattern        = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
	regionPattern      = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	urlPattern         = regexp.MustCompile(`^https?://[^/\s]+/?$`)
	redirectURLPattern = regexp.MustCompile(`^(https?)://[^/?#@\s]+` + regexp.QuoteMeta(LoginCallback) + `$`)
	daxPattern         = regexp.MustCompile(`^daxs?://[^/\s:]+(:[0-9]{1,5})?$`)
	pathPattern        = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)
	issuerPattern      = regexp.MustCompile(`^[!-~]{1,200}$`)
	tablePattern       = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`) // Amazon DynamoDB, naming rules
)

// variables returns the variables in the order of the fields. The default of a variable that isn't set is checked by its
// condition only.
func (c *Config) variables(added ...StoreKind) []variable {
	text, boolean := allowed.Text, allowed.Boolean()
	name := text("1 to 64 letters, digits, dots and hyphens", namePattern.MatchString)
	anything := func(string) bool { return true }
	store := allowed.OneOf(slices.Concat(StoreKinds(), added)...)
	otherStore := store.WithAllowed("a server-side store other than SESSION_STORE, or empty")
	canMigrate := func(other StoreKind) bool { return other != c.Store && other.ServerSide() && c.Store.ServerSide() }
	setOr := func(field *string, or func() bool) func() bool { return func() bool { return *field != "" || or() } }
	unused := func(store StoreKind) func() bool { return func() bool { return !c.Uses(store) } }
	login := func() bool { return c.OIDCIssuer != "" }
	valkeyIAM := func() bool { return c.Uses(StoreValkey) && c.ValkeyUser != "" }
	return []variable{
		bind("ADDR", &c.Addr, ":8080", text("host:port or :port", isAddress)),
		bind("ADMIN_ADDR", &c.AdminAddr, "127.0.0.1:9090", text("a loopback host:port", isLoopback)),
		bind("SERVER_NAME", &c.ServerName, "", name).onlyIf(func() bool { return c.ServerName != "" }),
		bind("ZONE", &c.Zone, "local", name),

		bind("SESSION_STORE", &c.Store, "memory",
			store.WithAllowed("dynamodb, valkey, memcached, postgres, cookie, token, memory or an added store")),
		bind("STORE_URL", &c.StoreURL, "", text("the URL of an added store, as its package documents; the built-in stores have variables of "+
			"their own", anything)).asSecret(),
		bind("SESSION_MIGRATE_FROM", &c.MigrateFrom, "", otherStore).
			onlyIf(func() bool { return c.MigrateFrom == "" || canMigrate(c.MigrateFrom) }),
		bind("SESSION_MIGRATE_TO", &c.MigrateTo, "", otherStore.AppendAllowed("; not with SESSION_MIGRATE_FROM")).
			onlyIf(func() bool { return c.MigrateTo == "" || canMigrate(c.MigrateTo) && c.MigrateFrom == "" }),
		bind("SESSION_IDLE_TIMEOUT", &c.IdleTimeout, "30m",
			allowed.Duration(time.Second, 720*time.Hour).AppendAllowed(", at most SESSION_LIFETIME, such as 30m")).
			onlyIf(func() bool { return c.IdleTimeout <= c.Lifetime || c.Lifetime == 0 }), // 0 isn't allowed
		bind("SESSION_LIFETIME", &c.Lifetime, "24h", allowed.Duration(time.Second, 8760*time.Hour).AppendAllowed(", such as 24h")),
		bind("STORE_TIMEOUT", &c.StoreTimeout, "800ms",
			allowed.Duration(10*time.Millisecond, 30*time.Second).AppendAllowed(", such as 800ms")),
		bind("PLAIN_HTTP", &c.PlainHTTP, "false", boolean),

		bind("VALKEY_ADDRESS", &c.ValkeyAddress, "", text("host:port; required when SESSION_STORE=valkey or TOKEN_REVOCATION=valkey", isAddress)).
			onlyIf(setOr(&c.ValkeyAddress, unused(StoreValkey))),
		bind("VALKEY_TLS", &c.ValkeyTLS, "false", boolean),
		bind("VALKEY_USER", &c.ValkeyUser, "", text("an ElastiCache user id; needs VALKEY_CACHE_NAME, AWS_REGION and "+
			"VALKEY_TLS=true", anything)).onlyIf(func() bool { return !valkeyIAM() || c.ValkeyTLS }),
		bind("VALKEY_CACHE_NAME", &c.ValkeyCacheName, "", text("the name of a replication group or serverless cache", anything)).
			onlyIf(setOr(&c.ValkeyCacheName, func() bool { return !valkeyIAM() })),
		bind("VALKEY_SERVERLESS", &c.ValkeyServerless, "false", boolean),

		bind("DYNAMODB_TABLE", &c.DynamoDBTable, "",
			text("a table name; required when SESSION_STORE=dynamodb, and when TOKEN_REVOCATION=dynamodb (that of the list)", tablePattern.MatchString)).
			onlyIf(setOr(&c.DynamoDBTable, unused(StoreDynamoDB))),
		bind("DYNAMODB_ENDPOINT", &c.DynamoDBEndpoint, "", text("an http:// or https:// address", urlPattern.MatchString)),
		bind("DYNAMODB_REPLICATED", &c.DynamoDBReplicated, "false", boolean),
		bind("DYNAMODB_DAX", &c.DynamoDBDAX, "", text("daxs://host:port, or dax://host:port without TLS; not with "+
			"DYNAMODB_REPLICATED=true, because DAX doesn't see the writes of other regions", daxPattern.MatchString)).
			onlyIf(func() bool { return c.DynamoDBDAX == "" || !c.DynamoDBReplicated }),
		bind("DYNAMODB_EVENTUAL_READS", &c.DynamoDBEventualReads, "false", boolean),
		bind("DYNAMODB_BATCH_READS", &c.DynamoDBBatchReads, "false", boolean),

		bind("MEMCACHED_ADDRESSES", &c.MemcachedAddresses, "", addresses("; required when SESSION_STORE=memcached")).
			onlyIf(func() bool { return len(c.MemcachedAddresses) > 0 || !c.Uses(StoreMemcached) }),
		bind("MEMCACHED_TLS", &c.MemcachedTLS, "false", boolean),

		bind("POSTGRES_URL", &c.PostgresURL, "", text("postgres://user@host:port/database?sslmode=verify-full…; required when "+
			"SESSION_STORE=postgres", anything)).onlyIf(setOr(&c.PostgresURL, unused(StorePostgres))).asSecret(),
		bind("POSTGRES_IAM", &c.PostgresIAM, "false", boolean.AppendAllowed("; true needs AWS_REGION")),

		bind("SESSION_KEYS", &c.SessionKeys, "", text("1 to 8 keys of 32 bytes in base64, separated by commas; required when "+
			"SESSION_STORE is cookie or token, and with OIDC_ISSUER", anything)).
			onlyIf(setOr(&c.SessionKeys, func() bool { return c.Store.ServerSide() && !login() })).asSecret(),

		bind("TOKEN_KEYS", &c.TokenKeys, "", text("RSA keys of 2048 bits or more in PEM, or the absolute path of a file with them; "+
			"only with SESSION_STORE=token", isPEMOrPath)).
			onlyIf(func() bool { return c.TokenKeys == "" || c.Store == StoreToken }).asSecret(),
		bind("TOKEN_ISSUER", &c.TokenIssuer, "stateless-servers", text("1 to 200 printable characters without spaces, such as "+
			"https://shop.example", issuerPattern.MatchString)),
		bind("TOKEN_REVOCATION", &c.TokenRevocation, "", allowed.OneOf(StoreValkey, StoreDynamoDB).
			WithAllowed("valkey or dynamodb; only with SESSION_STORE=token")).
			onlyIf(func() bool { return c.TokenRevocation == "" || c.Store == StoreToken }),
		bind("TOKEN_REVOCATION_WITHIN", &c.TokenRevocationWithin, "5s",
			allowed.Duration(100*time.Millisecond, time.Minute).AppendAllowed(", such as 5s")),
		bind("TOKEN_REVOCATION_STALE", &c.TokenRevocationStale, "refuse", allowed.OneOf(StaleRefuse, StaleAccept)),

		bind("OIDC_ISSUER", &c.OIDCIssuer, "", text("an https:// address without query (http:// only of a loopback address); "+
			"needs OIDC_CLIENT_ID, OIDC_REDIRECT_URL and SESSION_KEYS", isIssuer)),
		bind("OIDC_CLIENT_ID", &c.OIDCClientID, "",
			text("the id of a client of OIDC_ISSUER; required with it, and not without", anything)).
			onlyIf(func() bool { return (c.OIDCClientID != "") == login() }),
		bind("OIDC_CLIENT_SECRET", &c.OIDCClientSecret, "",
			text("the client's secret; empty for a public client, and without OIDC_ISSUER", anything)).
			onlyIf(func() bool { return c.OIDCClientSecret == "" || login() }).asSecret(),
		bind("OIDC_REDIRECT_URL", &c.OIDCRedirectURL, "", text("https://HOST/login/callback (http:// with PLAIN_HTTP=true); "+
			"required with OIDC_ISSUER, and not without", c.isRedirectURL)).
			onlyIf(func() bool { return (c.OIDCRedirectURL != "") == login() }),

		bind("AWS_REGION", &c.Region, "", text("an AWS region such as eu-west-1; required when DynamoDB is used, and "+
			"with IAM authentication", regionPattern.MatchString)).onlyIf(setOr(&c.Region, func() bool {
			return !c.Uses(StoreDynamoDB) && !valkeyIAM() && !(c.Uses(StorePostgres) && c.PostgresIAM)
		})),

		bind("KEEP_ALIVE", &c.KeepAlive, "75s",
			allowed.Duration(time.Second, 4000*time.Second).WithAllowed("a duration from 1s to 4000s, such as 75s")),
		bind("MAX_CONNECTIONS", &c.MaxConnections, "4096", allowed.Number(16, 1_000_000)),
		bind("SHUTDOWN_DELAY", &c.ShutdownDelay, "1s", allowed.Duration(0, time.Minute).AppendAllowed(", below DRAIN_TIMEOUT")).
			onlyIf(func() bool { return c.ShutdownDelay < c.DrainTimeout || c.DrainTimeout == 0 }),
		bind("DRAIN_TIMEOUT", &c.DrainTimeout, "40s", allowed.Duration(time.Second, time.Hour).AppendAllowed(", such as 40s")),

		bind("ALLOW_DELAY", &c.AllowDelay, "false", boolean),
		bind("STICKY", &c.Sticky, "false", boolean),
		bind("FLEET_PAGE", &c.FleetPage, "", text("a path such as /_lab", pathPattern.MatchString)),
	}
}

func addresses(more string) allowed.Kind[[]string] {
	return allowed.Kind[[]string]{Type: "list", Allowed: "host:port,host:port…" + more,
		Parse: func(text string) ([]string, bool) {
			list := strings.Split(text, ",")
			return list, !slices.ContainsFunc(list, func(a string) bool { return !isAddress(a) })
		}}
}

func isAddress(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil
}

func isPEMOrPath(text string) bool {
	return strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN ") || filepath.IsAbs(text)
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

// isRedirectURL reports whether OIDC_REDIRECT_URL may have this value. It depends on PLAIN_HTTP, which is set earlier.
func (c *Config) isRedirectURL(address string) bool {
	parts := redirectURLPattern.FindStringSubmatch(address)
	return parts != nil && (parts[1] == "https") == !c.PlainHTTP
}
