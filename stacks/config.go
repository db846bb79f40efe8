// Package stacks defines what AWS gets: the network, and the lab with its session store, load balancer, fleet and
// dashboard.
//
// Both stacks are environment-agnostic: they synthesize without credentials and take the account and the region of
// whoever deploys them.
package stacks

import (
	"fmt"
	"io"
	"time"

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
	Store config.StoreKind
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
const StoreRedis config.StoreKind = "redis"

// Warn writes a line about what is allowed and yet should make an operator think.
func (c Config) Warn(w io.Writer) {
	if c.Store == config.StoreMemory {
		fmt.Fprintln(w, "warning: store=memory keeps each session on one server, which logs its visitors out when it ends:"+
			" a baseline to compare with, not for use")
	}
}

// HTTPS reports whether visitors come over TLS.
func (c Config) HTTPS() bool { return c.CertificateARN != "" || c.Domain != "" || c.CloudFront }

// LoadConfig are the options of the load test from many machines.
type LoadConfig struct {
	// Loaders (loaders) is how many machines send, from 1 to 50. The default is 0: no such stack.
	Loaders int
	// Rate (loadRate) is the number of requests per second that each loader sends, in the form of lab load --rate: 200, a
	// ramp such as 100..500, or several in turn such as 100,200,400. The default is 200.
	Rate string
	// Duration (loadDuration) is how long they measure, from 10s to 4h. The default is 5m.
	Duration time.Duration
	// Sessions (loadSessions) are the visitors of each, from 1 to 100000. The default is 1000.
	Sessions int
	// Mix (loadMix) is what visitors do, as lab load --mix takes it: read=80,write=20. Empty means its default.
	Mix string
	// History (loadHistory) also keeps what every visitor sent and saw, for lab check: about 200 bytes a request before
	// compression. The default is false.
	History bool
	// InstanceType (loaderInstanceType) is the size of a loader, of an ARM family. The default c7g.large (two cores) sends
	// some thousand requests a second and costs 0.0725 USD an hour in us-east-1.
	InstanceType string
}
