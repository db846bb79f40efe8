// Package stacks defines what AWS gets: the network, and the lab with its session store, load balancer, fleet and
// dashboard.
//
// Both stacks are environment-agnostic: they synthesize without credentials and take the account and the region of
// whoever deploys them.
package stacks

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"

	"stateless-servers/app/config"
)

// Stage says how much the deployed data is worth.
type Stage string

// The stages.
const (
	// StageLab is for trying things: destroying the stacks removes the sessions, and nothing is kept twice.
	StageLab Stage = "lab"
	// StageProduction protects sessions, load balancer and stacks from deletion, backs the store up continuously
	// (DynamoDB) or daily (Valkey), keeps logs for a year and gives every zone its own NAT gateway.
	StageProduction Stage = "production"
)

// retention is how long logs of any kind are kept.
func retention(stage Stage) awslogs.RetentionDays {
	if stage == StageProduction {
		return awslogs.RetentionDays_ONE_YEAR
	}
	return awslogs.RetentionDays_ONE_MONTH
}

// Egress says how the servers reach AWS services outside the VPC. S3 and DynamoDB have free gateway endpoints and never
// leave the network. Prices are of us-east-1, on demand, for a month of 730 hours.
type Egress string

// The ways out.
const (
	// EgressNATGateway is a way out to the internet: 33 USD a month for each gateway and 0.045 USD a GB. A lab has one
	// gateway, production one a zone.
	EgressNATGateway Egress = "nat-gateway"
	// EgressNATInstance is a NAT of our own: 7 USD a month for each (t4g.nano with its disk and public address) and nothing
	// a GB. A lab has one, production one a zone. Throughput is that of its type, 5 Gbit/s in bursts; while EC2 recovers or
	// a deploy replaces it, servers keep serving from stores in the VPC and from DynamoDB, but new ones can't boot.
	EgressNATInstance Egress = "nat-instance"
	// EgressEndpointsOnly leaves the servers no route to the internet, only the six AWS APIs that they call: 7.30 USD a
	// month for each API and zone (88 USD in two zones) and 0.01 USD a GB.
	EgressEndpointsOnly Egress = "endpoints-only"
)

// Login is who says who visitors are.
type Login string

// The logins.
const (
	// LoginNone believes whoever a visitor claims to be.
	LoginNone Login = "none"
	// LoginCognito has a user pool of Amazon Cognito say it.
	LoginCognito Login = "cognito"
)

// Config is what an operator chooses, with a key of the CDK context for each field: -c key=value, or "context" in
// cdk.json.
type Config struct {
	// Store (store) is where sessions live. The default is dynamodb, because it costs nothing at rest.
	Store config.Store
	// Sticky (sticky) makes the load balancer send each visitor to the same server, as store=memory needs it to, and no
	// other store may. The default is false.
	Sticky bool
	// Stage (stage) is lab, the default so that a first try leaves nothing behind that costs money, or production.
	Stage Stage
	// CertificateARN (certificateArn) is a certificate of AWS Certificate Manager in the region of the deployment. It
	// turns on HTTPS. There is no default: without it visitors and load balancer speak plain HTTP, and an output says so.
	CertificateARN string
	// Domain (domain) is a name to serve under, such as lab.example.com, in the public hosted zone of Amazon Route 53 with
	// the id HostedZoneID (hostedZoneId). They go together, and instead of certificateArn: a certificate is made and
	// renewed for the name, and the name leads to the load balancer. There are no defaults.
	Domain, HostedZoneID string
	// CloudFront (cloudfront) puts Amazon CloudFront before a load balancer that has no public address, so that a lab
	// without a domain has HTTPS: instead of certificateArn and domain. Ten million requests and a terabyte a month are
	// free. The default is false. Turning it on or off makes a new load balancer.
	CloudFront bool
	// WAF (waf) has AWS WAF check requests by three groups of rules that AWS maintains: 8 USD a month and 0.60 USD a million
	// requests. The default is false.
	WAF bool
	// Login (login) is cognito for a user pool of Amazon Cognito that keeps the passwords and tells who visitors are:
	// docs/login.md. It needs a name over HTTPS to lead them back to, by domain or cloudfront, and a way out to the
	// internet. The default is none: the lab believes whoever visitors claim to be.
	Login Login
	// InstanceTypes (instanceType) are the sizes that a server may have, of ARM families: the server is built for arm64.
	// Several are separated by commas, the preferred first. They should be alike, since each server is sent as many
	// requests. The default t4g.small (two cores, 2 GiB) costs 12.26 USD a month.
	InstanceTypes string
	// SpotPercent (spotPercent) is the share of spot instances in the fleet, from 0, the default, to 100. They cost about a
	// third, and AWS may end them two minutes after saying so: their sessions live on, unless in memory. Several instance
	// types make that rarer.
	SpotPercent int
	// MinServers (minServers) is the size of the quiet fleet, from 1 to 100. The default is 2: one in each zone.
	MinServers int
	// MaxServers (maxServers) bounds what scaling may launch, above MinServers and at most 100. The default is 6. A deploy
	// runs the fleet at MaxServers for its minutes: see NewFleet.
	MaxServers int
	// Zones (zones) is the number of availability zones, 2 or 3. The default is 2, the least that an Application Load
	// Balancer takes. It may grow later; to shrink it, destroy the lab first, because it stands in the zone that goes.
	Zones int
	// Egress (egress) is nat-gateway, the default because AWS runs it, nat-instance, the cheapest, or endpoints-only.
	Egress Egress
	// NATInstanceType (natInstanceType) is the size of NAT instances, of an ARM family. The default t4g.nano passes on what
	// a fleet asks of AWS; bulk goes by the gateway endpoints.
	NATInstanceType string

	// AlarmEmail (alarmEmail) is who gets a message when an alarm goes off and when it is over; they confirm first that
	// they want to. There is no default: alarms show on the dashboard alone.
	AlarmEmail string

	// Load is the load test from many machines.
	Load LoadConfig

	// Options of the stores; each only goes with its own.
	DynamoDB DynamoDBConfig
	Cache    CacheConfig
	Postgres PostgresConfig
}

// StoreRedis is Redis OSS in the place of Valkey. To servers it is config.StoreValkey.
const StoreRedis config.Store = "redis"

// armType is an instance type of a Graviton family, which has a g after the generation: t4g, c8gn, im4gn. (G4dn, a GPU
// family for x86, has not.)
const armType = `[a-z]+[0-9]+g[a-z]*\.([a-z0-9]+|metal-[0-9]+xl)`

// rate and weight are parts of what lab load takes.
const (
	rate   = `([1-9][0-9]{0,4}(\.[0-9]+)?|0\.[1-9][0-9]*)`
	weight = `(none|read|write|cart|login|logout)=([1-9][0-9]{0,2}|1000)`
)
const region = `[a-z]{2,4}(-[a-z]+)+-[0-9]`

var (
	certificateForm = regexp.MustCompile(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$`)
	domainForm      = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	emailForm       = regexp.MustCompile(`^[^@\s"<>,;]+@[a-z0-9.-]+\.[a-z]{2,63}$`)
	zoneForm        = regexp.MustCompile(`^Z[A-Z0-9]{1,31}$`)
	armForm         = regexp.MustCompile(`^` + armType + `(,` + armType + `)*$`)
	oneARMForm      = regexp.MustCompile(`^` + armType + `$`)
	rateForm        = regexp.MustCompile(`^` + rate + `(\.\.` + rate + `)?(,` + rate + `(\.\.` + rate + `)?)*$`)
	mixForm         = regexp.MustCompile(`^` + weight + `(,` + weight + `)*$`)
	cacheNodeForm   = regexp.MustCompile(`^cache\.[a-z0-9]+\.[a-z0-9]+$`)
	daxNodeForm     = regexp.MustCompile(`^dax\.[a-z0-9]+\.[a-z0-9]+$`)
	tableForm       = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`) // Amazon DynamoDB, naming rules
	regionsForm     = regexp.MustCompile(`^` + region + `(,` + region + `)*$`)
)

// settings are in an order in which each comes after those that it depends on.
func (c *Config) settings() []setting {
	loading := func() bool { return c.Load.Loaders > 0 }
	caches := []config.Store{config.StoreValkey, StoreRedis, config.StoreMemcached}
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
		value, given := context[s.key]
		switch text := text(value); {
		case !given || !s.isOf(c.Store):
			if s.fallback != "" {
				s.set(s.fallback)
			}
			// A key may be of several settings, each of other stores.
			if stores := storesOf(s.key, settings); given && !slices.Contains(stores, c.Store) && first(i, settings) {
				problems = append(problems, fmt.Errorf("context %s=%q: only with store=%s", s.key, text, names(stores)))
			}
		case !s.set(text):
			problems = append(problems, fmt.Errorf("context %s=%q: allowed is %s", s.key, text, s.allowed))
		case s.needs != "" && !s.met():
			problems = append(problems, fmt.Errorf("context %s=%q: only with %s", s.key, text, s.needs))
		}
	}
	problems = append(problems, c.contradictions()...)
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// Warn writes a line about what is allowed and yet should make an operator think.
func (c Config) Warn(w io.Writer) {
	if c.Store == config.StoreMemory {
		fmt.Fprintln(w, "warning: store=memory keeps each session on one server, which logs its visitors out when it ends:"+
			" a baseline to compare with, not for use")
	}
}

// HTTPS tells whether visitors come over TLS.
func (c Config) HTTPS() bool { return c.CertificateARN != "" || c.Domain != "" || c.CloudFront }

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
			known = append(known, s.key)
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
