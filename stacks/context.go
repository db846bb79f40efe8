package stacks

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/app/config/allowed"
)

// armType is an instance type of a Graviton family, which has a g after the generation: t4g, c8gn, im4gn. (G4dn, a GPU
// family for x86, has not.)
const armType = `[a-z]+[0-9]+g[a-z]*\.([a-z0-9]+|metal-[0-9]+xl)`

// rate and weight are parts of what lab load takes.
const (
	rate   = `([1-9][0-9]{0,4}(\.[0-9]+)?|0\.[1-9][0-9]*)`
	weight = `(none|read|write|cart|login|logout)=([1-9][0-9]{0,2}|1000)`
)

const oneRegion = `[a-z]{2,4}(-[a-z]+)+-[0-9]`

var (
	certificateForm = regexp.MustCompile(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$`)
	domainForm      = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	emailForm       = regexp.MustCompile(`^[A-Za-z0-9._%+'-]{1,64}@[a-z0-9.-]+\.[a-z]{2,63}$`)
	zoneForm        = regexp.MustCompile(`^Z[A-Z0-9]{1,31}$`)
	armForm         = regexp.MustCompile(`^` + armType + `(,` + armType + `)*$`)
	oneARMForm      = regexp.MustCompile(`^` + armType + `$`)
	rateForm        = regexp.MustCompile(`^` + rate + `(\.\.` + rate + `)?(,` + rate + `(\.\.` + rate + `)?)*$`)
	mixForm         = regexp.MustCompile(`^` + weight + `(,` + weight + `)*$`)
	cacheNodeForm   = regexp.MustCompile(`^cache\.[a-z0-9]+\.[a-z0-9]+$`)
	daxNodeForm     = regexp.MustCompile(`^dax\.[a-z0-9]+\.[a-z0-9]+$`)
	tableForm       = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`) // Amazon DynamoDB, naming rules
	regionsForm     = regexp.MustCompile(`^` + oneRegion + `(,` + oneRegion + `)*$`)
)

// settings are in an order in which each comes after those that it depends on.
func (c *Config) settings() []setting {
	loading := func() bool { return c.Load.Loaders > 0 }
	caches := []config.StoreKind{config.StoreValkey, StoreRedis, config.StoreMemcached}
	nodes := func() bool { return !c.Cache.Serverless }
	noNodes := func() bool { return c.Cache.Serverless }
	return []setting{
		choice("store", &c.Store, config.StoreDynamoDB, config.StoreValkey, StoreRedis, config.StoreMemcached,
			config.StorePostgres, config.StoreCookie, config.StoreToken, config.StoreMemory),
		boolean("sticky", &c.Sticky),
		choice("stage", &c.Stage, StageLab, StageProduction),
		form("certificateArn", &c.CertificateARN, "", certificateForm, "the ARN of an ACM certificate"),
		form("domain", &c.Domain, "", domainForm, "a domain name such as lab.example.com"),
		form("hostedZoneId", &c.HostedZoneID, "", zoneForm, "the id of a public hosted zone, such as Z0123456789ABCDEFGHIJ"),
		boolean("cloudfront", &c.CloudFront),
		boolean("waf", &c.WAF),
		choice("login", &c.Login, LoginNone, LoginCognito),
		form("instanceType", &c.InstanceTypes, "t4g.small", armForm, "ARM (Graviton) instance types such as t4g.small, with "+
			"commas between them"),
		number("spotPercent", &c.SpotPercent, 0, 0, 100),
		number("minServers", &c.MinServers, 2, 1, 100),
		number("maxServers", &c.MaxServers, 6, 2, 100),
		number("zones", &c.Zones, 2, 2, 3),
		choice("egress", &c.Egress, EgressNATGateway, EgressNATInstance, EgressEndpointsOnly),
		form("natInstanceType", &c.NATInstanceType, "t4g.nano", oneARMForm, "an ARM (Graviton) instance type such as t4g.nano").
			needing("egress=nat-instance", func() bool { return c.Egress == EgressNATInstance }),

		form("alarmEmail", &c.AlarmEmail, "", emailForm, "an e-mail address"),

		number("loaders", &c.Load.Loaders, 0, 0, 50),
		form("loadRate", &c.Load.Rate, "200", rateForm, "requests a second: 200, or a ramp 100..500, or several in turn such as "+
			"100,200,400").needing("loaders", loading),
		span("loadDuration", &c.Load.Duration, 5*time.Minute, 10*time.Second, 4*time.Hour).needing("loaders", loading),
		number("loadSessions", &c.Load.Sessions, 1000, 1, 100_000).needing("loaders", loading),
		form("loadMix", &c.Load.Mix, "", mixForm, "weights of none, read, write, cart, login and logout, such as "+
			"read=80,write=20").needing("loaders", loading),
		boolean("loadHistory", &c.Load.History).needing("loaders", loading),
		form("loaderInstanceType", &c.Load.InstanceType, "c7g.large", oneARMForm, "an ARM (Graviton) instance type such as "+
			"c7g.large").needing("loaders", loading),

		choice("billing", &c.DynamoDB.Billing, BillingOnDemand, BillingProvisioned).of(config.StoreDynamoDB),
		number("minUnits", &c.DynamoDB.MinUnits, 5, 1, 40_000).of(config.StoreDynamoDB),
		number("maxUnits", &c.DynamoDB.MaxUnits, 1000, 1, 40_000).of(config.StoreDynamoDB),
		boolean("customerKey", &c.DynamoDB.CustomerKey).of(config.StoreDynamoDB),
		form("replicas", &c.DynamoDB.Replicas, "", regionsForm, "AWS regions such as eu-west-1, with commas between them").
			of(config.StoreDynamoDB),
		form("replicaTable", &c.DynamoDB.ReplicaTable, "", tableForm, "the name of a DynamoDB table").of(config.StoreDynamoDB),
		boolean("dax", &c.DynamoDB.DAX).of(config.StoreDynamoDB),
		form("daxNodeType", &c.DynamoDB.DAXNodeType, "dax.t3.small", daxNodeForm, "a node type of DAX such as dax.t3.small").
			of(config.StoreDynamoDB).needing("dax=true", func() bool { return c.DynamoDB.DAX }),
		number("daxNodes", &c.DynamoDB.DAXNodes, 2, 2, 11).
			of(config.StoreDynamoDB).needing("dax=true", func() bool { return c.DynamoDB.DAX }),

		boolean("serverless", &c.Cache.Serverless).of(caches...),
		form("cacheNodeType", &c.Cache.NodeType, "cache.t4g.micro", cacheNodeForm,
			"a node type of ElastiCache such as cache.t4g.micro").of(caches...).needing("serverless=false", nodes),
		number("shards", &c.Cache.Shards, 0, 0, 90).of(config.StoreValkey, StoreRedis).needing("serverless=false", nodes),
		number("replicas", &c.Cache.Replicas, 1, 1, 5).of(config.StoreValkey, StoreRedis).needing("serverless=false", nodes),
		number("nodes", &c.Cache.Nodes, 2, 2, 40).of(config.StoreMemcached).needing("serverless=false", nodes),
		number("cacheMaxGB", &c.Cache.MaxGB, 1, 1, 5000).of(caches...).needing("serverless=true", noNodes),
		number("cacheMaxECPU", &c.Cache.MaxECPU, 5000, 1000, 15_000_000).of(caches...).needing("serverless=true", noNodes),

		halves("minACU", &c.Postgres.MinACU, 0.5, 0.5, 256).of(config.StorePostgres),
		halves("maxACU", &c.Postgres.MaxACU, 4, 1, 256).of(config.StorePostgres),
	}
}

// ParseConfig reads the CDK context. A value may be a string, as -c gives it, or the JSON of cdk.json. The error has one
// line for every key that isn't known and every value that isn't allowed. Keys with a colon or a slash are the CDK's own
// (feature flags, cached lookups) and not looked at.
func ParseConfig(context map[string]any) (Config, error) {
	var c Config
	settings := c.settings()
	problems := unknownKeys(context, settings)
	for i, s := range settings {
		value, given := context[s.Name]
		switch text := text(value); {
		case !given || !s.isOf(c.Store):
			if s.Default != "" {
				s.Set(s.Default)
			}
			// A key may be of several settings, each of other stores.
			if stores := storesOf(s.Name, settings); given && !slices.Contains(stores, c.Store) && first(i, settings) {
				problems = append(problems, fmt.Errorf("context %s=%q: only with store=%s", s.Name, text, allowed.Or(stores)))
			}
		case !s.Set(text):
			problems = append(problems, fmt.Errorf("context %s=%q: allowed is %s", s.Name, text, s.Allowed))
		case s.Needs != "" && !s.met():
			problems = append(problems, fmt.Errorf("context %s=%q: only with %s", s.Name, text, s.Needs))
		}
	}
	problems = append(problems, c.contradictions()...)
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// Keys lists every key, in the order in which Config has them.
func Keys() []Key {
	var c Config
	var keys []Key
	for _, s := range c.settings() {
		keys = append(keys, s.Key)
	}
	return keys
}

// contradictions are values that are allowed, but not together. A number that isn't allowed is 0 here.
func (c *Config) contradictions() []error {
	var problems []error
	add := func(format string, values ...any) {
		problems = append(problems, fmt.Errorf("context "+format, values...))
	}
	if c.MaxServers != 0 && c.MaxServers <= c.MinServers {
		add("maxServers=\"%d\": allowed is a number above minServers (%d), so that a deploy has room for one server more",
			c.MaxServers, c.MinServers)
	}
	problems = append(problems, c.DynamoDB.contradictions()...)
	if c.Postgres.MaxACU != 0 && c.Postgres.MaxACU < c.Postgres.MinACU {
		add("maxACU=\"%v\": allowed is a number of minACU (%v) or more", c.Postgres.MaxACU, c.Postgres.MinACU)
	}
	if (c.Domain == "") != (c.HostedZoneID == "") {
		add("domain=%q and hostedZoneId=%q: both or neither", c.Domain, c.HostedZoneID)
	}
	if c.CloudFront && (c.Domain != "" || c.CertificateARN != "") {
		add("cloudfront=\"true\": not with domain or certificateArn; CloudFront has a name and a certificate of its own")
	}
	if c.Load.Loaders > 0 && c.Egress == EgressEndpointsOnly {
		add("loaders=\"%d\": not with egress=endpoints-only, which leaves no way to the load balancer's public address",
			c.Load.Loaders)
	}
	if c.Login == LoginCognito {
		problems = append(problems, c.loginContradictions()...)
	}
	if c.Domain != "" && c.CertificateARN != "" {
		add("certificateArn=%q: not with domain, which makes a certificate of its own", c.CertificateARN)
	}
	if c.Store == config.StoreMemory && !c.Sticky {
		add("store=\"memory\": only with sticky=true, because servers don't share what is in their memory")
	}
	if c.Store != config.StoreMemory && c.Sticky {
		add("sticky=\"true\": only with store=memory; servers share the sessions of every other store")
	}
	return problems
}

// loginContradictions are those of login=cognito.
func (c *Config) loginContradictions() []error {
	var problems []error
	add := func(reason string) {
		problems = append(problems, fmt.Errorf("context login=%q: %s", c.Login, reason))
	}
	if c.Domain == "" && !c.CloudFront {
		add("only with domain or cloudfront=true; the user pool leads visitors back to an address with HTTPS that it must " +
			"know by name, which certificateArn doesn't tell")
	}
	if c.Egress == EgressEndpointsOnly {
		add("not with egress=endpoints-only, which leaves servers no way to the user pool's domain, where they exchange codes " +
			"for tokens: Amazon Cognito has no endpoint in a VPC for it")
	}
	if c.Load.Loaders > 0 && (c.Load.Mix == "" || strings.Contains(c.Load.Mix, "login=")) {
		add("with loaders, only with a loadMix without login, such as read=80,write=20; loaders have no account in the user pool")
	}
	return problems
}

func unknownKeys(context map[string]any, settings []setting) []error {
	var known []string
	for i, s := range settings {
		if first(i, settings) {
			known = append(known, s.Name)
		}
	}
	var unknown []string
	for key := range context {
		if !slices.Contains(known, key) && !strings.ContainsAny(key, ":/") && key != "cdk-migrate" {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	var problems []error
	for _, key := range unknown {
		problems = append(problems, fmt.Errorf("context %s=%q: no such key; allowed are %s",
			key, text(context[key]), strings.Join(known, ", ")))
	}
	return problems
}

// contradictions are values that are allowed, but not together.
func (c DynamoDBConfig) contradictions() []error {
	var problems []error
	add := func(format string, values ...any) {
		problems = append(problems, fmt.Errorf("context "+format, values...))
	}
	if c.MaxUnits != 0 && c.MaxUnits < c.MinUnits {
		add("maxUnits=\"%d\": allowed is a number of minUnits (%d) or more", c.MaxUnits, c.MinUnits)
	}
	if regionsForm.MatchString(c.Replicas) {
		if unknown := unknownRegions(c.replicas()); len(unknown) > 0 {
			add("replicas=%q: AWS has no region %s", c.Replicas, strings.Join(unknown, ", "))
		}
		if regions := slices.Sorted(slices.Values(c.replicas())); len(slices.Compact(regions)) < len(c.replicas()) {
			add("replicas=%q: allowed is each region once", c.Replicas)
		}
	}
	if c.Replicas != "" && c.CustomerKey {
		add("customerKey=\"true\": not with replicas; a key works in its own region only")
	}
	if c.ReplicaTable != "" && (c.Replicas != "" || c.CustomerKey || c.Billing == BillingProvisioned) {
		add("replicaTable=%q: not with billing, customerKey or replicas, which the region that made the table decides",
			c.ReplicaTable)
	}
	if c.DAX && c.replicated() {
		add("dax=\"true\": not with replicas or replicaTable; DAX doesn't see what other regions write")
	}
	return problems
}
