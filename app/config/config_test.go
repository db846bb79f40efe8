package config

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

func TestDefaultsAreAllowed(t *testing.T) {
	c := must.Get(Parse([]string{"SERVER_NAME=a"}))(t)
	if c.Store != StoreMemory || c.IdleTimeout != 30*time.Minute || c.KeepAlive != 75*time.Second {
		t.Errorf("defaults: %+v", c)
	}
}

func TestEveryBadValueIsReportedAtOnce(t *testing.T) {
	_, err := Parse([]string{
		"SERVER_NAME=a", "SESSION_STORE=nosuch", "SESSION_IDLE_TIMEOUT=soon", "ALLOW_DELAY=perhaps", "ADMIN_ADDR=0.0.0.0:9090",
		"SESSION_LIFETIME=2h", "DRAIN_TIMEOUT=0s",
	})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Variable+"="+p.Value)
		if p.Allowed == "" {
			t.Errorf("%s: the problem lacks the allowed values", p.Variable)
		}
	}
	slices.Sort(got)
	want := []string{"ADMIN_ADDR=0.0.0.0:9090", "ALLOW_DELAY=perhaps", "DRAIN_TIMEOUT=0s", "SESSION_IDLE_TIMEOUT=soon", "SESSION_STORE=nosuch"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != len(want) {
		t.Errorf("%d lines for %d problems:\n%s", len(lines), len(want), err)
	}
}

func TestRequiredVariables(t *testing.T) {
	tests := []struct {
		name        string
		environment []string
		want        string // the variables reported
	}{
		{"valkey without an address", []string{"SESSION_STORE=valkey"}, "VALKEY_ADDRESS"},
		{"valkey", []string{"SESSION_STORE=valkey", "VALKEY_ADDRESS=localhost:6379"}, ""},
		{"valkey with IAM and nothing else", []string{"SESSION_STORE=valkey", "VALKEY_ADDRESS=c:6379", "VALKEY_USER=u"}, "VALKEY_USER VALKEY_CACHE_NAME AWS_REGION"},
		{"dynamodb without anything", []string{"SESSION_STORE=dynamodb"}, "DYNAMODB_TABLE AWS_REGION"},
		{"dynamodb with DAX", []string{"SESSION_STORE=dynamodb", "DYNAMODB_TABLE=sessions", "AWS_REGION=eu-west-1",
			"DYNAMODB_DAX=daxs://c.abc.dax-clusters.eu-west-1.amazonaws.com:9111"}, ""},
		{"DAX without a scheme", []string{"DYNAMODB_DAX=c.abc.dax-clusters.eu-west-1.amazonaws.com:9111"}, "DYNAMODB_DAX"},
		{"DAX with replicas", []string{"SESSION_STORE=dynamodb", "DYNAMODB_TABLE=sessions", "AWS_REGION=eu-west-1",
			"DYNAMODB_DAX=dax://c", "DYNAMODB_REPLICATED=true"}, "DYNAMODB_DAX"},
		{"memcached without a node", []string{"SESSION_STORE=memcached"}, "MEMCACHED_ADDRESSES"},
		{"memcached with a bad address", []string{"SESSION_STORE=memcached", "MEMCACHED_ADDRESSES=a:1,b"}, "MEMCACHED_ADDRESSES"},
		{"memcached", []string{"SESSION_STORE=memcached", "MEMCACHED_ADDRESSES=a:1,b:2"}, ""},
		{"postgres without a database", []string{"SESSION_STORE=postgres", "POSTGRES_IAM=true"}, "POSTGRES_URL AWS_REGION"},
		{"cookie without keys", []string{"SESSION_STORE=cookie"}, "SESSION_KEYS"},
		{"login without anything else", []string{"OIDC_ISSUER=https://login.example/pool"}, "SESSION_KEYS OIDC_CLIENT_ID OIDC_REDIRECT_URL"},
		{"login without a provider", []string{"OIDC_CLIENT_ID=lab", "OIDC_CLIENT_SECRET=s", "OIDC_REDIRECT_URL=https://lab.example/login/callback"},
			"OIDC_CLIENT_ID OIDC_CLIENT_SECRET OIDC_REDIRECT_URL"},
		{"login", login("https://login.example/pool", "https://lab.example/login/callback"), ""},
		{"login without TLS", append(login("http://127.0.0.1:5556/dex", "http://127.0.0.1:8080/login/callback"), "PLAIN_HTTP=true"), ""},
		{"a provider without TLS", login("http://login.example", "https://lab.example/login/callback"), "OIDC_ISSUER"},
		{"a provider with a query", login("https://login.example/?pool=1", "https://lab.example/login/callback"), "OIDC_ISSUER"},
		{"a redirect URL without TLS", login("https://login.example", "http://lab.example/login/callback"), "OIDC_REDIRECT_URL"},
		{"a redirect URL with another path", login("https://login.example", "https://lab.example/"), "OIDC_REDIRECT_URL"},
		{"a migration to a store without its address", []string{"SESSION_STORE=memory", "SESSION_MIGRATE_TO=valkey"}, "VALKEY_ADDRESS"},
		{"a migration to the same store", []string{"SESSION_MIGRATE_TO=memory"}, "SESSION_MIGRATE_TO"},
		{"a migration from cookies", []string{"SESSION_MIGRATE_FROM=cookie"}, "SESSION_MIGRATE_FROM"},
		{"a migration in both directions", []string{"SESSION_MIGRATE_FROM=valkey", "SESSION_MIGRATE_TO=valkey", "VALKEY_ADDRESS=a:1"}, "SESSION_MIGRATE_TO"},
		{"a delay beyond the drain", []string{"SHUTDOWN_DELAY=20s", "DRAIN_TIMEOUT=10s"}, "SHUTDOWN_DELAY"},
		{"an idle timeout above the lifetime", []string{"SESSION_LIFETIME=1m"}, "SESSION_IDLE_TIMEOUT"},
		{"dynamodb", []string{"SESSION_STORE=dynamodb", "DYNAMODB_TABLE=sessions", "AWS_REGION=eu-west-1"}, ""},
		{"token", []string{"SESSION_STORE=token", "SESSION_KEYS=k"}, ""},
		{"revocation without an address", []string{"SESSION_STORE=token", "SESSION_KEYS=k", "TOKEN_REVOCATION=valkey"}, "VALKEY_ADDRESS"},
		{"revocation without a table", []string{"SESSION_STORE=token", "SESSION_KEYS=k", "TOKEN_REVOCATION=dynamodb"}, "DYNAMODB_TABLE AWS_REGION"},
		{"revocation in valkey", []string{"SESSION_STORE=token", "SESSION_KEYS=k", "TOKEN_REVOCATION=valkey", "VALKEY_ADDRESS=a:1"}, ""},
		{"revocation in another store", []string{"SESSION_STORE=token", "SESSION_KEYS=k", "TOKEN_REVOCATION=sql"}, "TOKEN_REVOCATION"},
		{"revocation of other sessions", []string{"SESSION_STORE=valkey", "VALKEY_ADDRESS=a:1", "TOKEN_REVOCATION=valkey"}, "TOKEN_REVOCATION"},
		{"revocation at once", []string{"TOKEN_REVOCATION_WITHIN=99ms"}, "TOKEN_REVOCATION_WITHIN"},
		{"no policy for a stale list", []string{"TOKEN_REVOCATION_STALE=ignore"}, "TOKEN_REVOCATION_STALE"},
		{"keys of other sessions", []string{"TOKEN_KEYS=/etc/keys.pem"}, "TOKEN_KEYS"},
		{"keys that are neither PEM nor a file", []string{"SESSION_STORE=token", "SESSION_KEYS=k", "TOKEN_KEYS=secret"}, "TOKEN_KEYS"},
		{"an issuer with a space", []string{"TOKEN_ISSUER=the shop"}, "TOKEN_ISSUER"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse(append(test.environment, "SERVER_NAME=a"))
			var problems Problems
			errors.As(err, &problems)
			var got []string
			for _, p := range problems {
				got = append(got, p.Variable)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func login(issuer, redirect string) []string {
	return []string{"OIDC_ISSUER=" + issuer, "OIDC_CLIENT_ID=lab", "OIDC_REDIRECT_URL=" + redirect, "SESSION_KEYS=k"}
}

func TestRenderedEnvironmentParsesBack(t *testing.T) {
	want := Default()
	want.ServerName, want.Store, want.ValkeyAddress, want.ValkeyTLS = "server-1", StoreValkey, "127.0.0.1:6379", true
	want.MemcachedAddresses = []string{"a:1", "b:2"}
	want.IdleTimeout, want.ShutdownDelay, want.AllowDelay = 90*time.Second, 0, true
	got := must.Get(Parse(want.Environment()))(t)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if n := len(want.Environment()); n != 8 {
		t.Errorf("%d variables rendered, want only the 8 that differ from the defaults", n)
	}
}

func TestEnvironmentFileQuotes(t *testing.T) {
	c := Default()
	c.Zone = `a "b" \c`
	if got, want := c.EnvironmentFile(), "ZONE=\"a \\\"b\\\" \\\\c\"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Each field has one variable, in the same order, which sets this field only. The generator of docs/configuration.md depends
// on that.
func TestEveryFieldHasOneVariable(t *testing.T) {
	samples := map[string]string{"boolean": "true", "duration": "1s", "whole number": "16"}
	fields := reflect.TypeFor[Config]().NumField()
	if n := len(Variables()); n != fields {
		t.Fatalf("%d variables for %d fields", n, fields)
	}
	for i := range fields {
		var c Config
		v := c.variables()[i]
		v.Set(cmp.Or(samples[v.Type], "some"))
		for j := range fields {
			if changed := !reflect.ValueOf(c).Field(j).IsZero(); changed != (i == j) {
				t.Errorf("%s sets %s: %v, want %v", v.Name, reflect.TypeFor[Config]().Field(j).Name, changed, !changed)
			}
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	_, err := Parse([]string{"SERVER_NAME=a", "OIDC_CLIENT_SECRET=hush", "OIDC_CLIENT_ID=shown"})
	if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), `OIDC_CLIENT_SECRET="(not shown)"`) ||
		!strings.Contains(err.Error(), `OIDC_CLIENT_ID="shown"`) {
		t.Errorf("got %v", err)
	}
}

func TestAddedStores(t *testing.T) {
	environment := []string{"SERVER_NAME=a", "SESSION_STORE=mine", "STORE_URL=mine://there"}
	if _, err := Parse(environment); err == nil {
		t.Error("a store that wasn't added is allowed, want an error")
	}
	c, err := Parse(environment, "mine")
	if err != nil || c.Store != "mine" || c.StoreURL != "mine://there" {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := Parse(append(environment, "SESSION_MIGRATE_FROM=memory"), "mine"); err != nil {
		t.Errorf("a migration to an added store: %v", err)
	}
}
