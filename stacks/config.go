// Package stacks defines the AWS resources of the lab as CDK stacks: the network; the lab with its session store, load
// balancer, fleet and dashboard; and on demand the machines of a load test. Synthesize is the entry point of the CDK app.
// Config lists every option, and ParseConfig reads it from the CDK context. Each part is a construct, NewX(scope, id,
// props); parts that servers use return an Attachment. Start reading at NewLab.
//
// The stacks are environment-agnostic: they synthesize without credentials, and deploy to the account and region of the
// caller.
package stacks

import (
	"fmt"
	"io"
	"time"

	"stateless-servers/app/config"
)

// A Stage sets how well the deployment protects its data, and what that may cost.
type Stage string

// The stages.
const (
	// StageLab is for experiments: destroying the stacks deletes the sessions, and there are no backups beyond a day.
	StageLab Stage = "lab"
	// StageProduction protects sessions, load balancer and stacks from deletion (see Config.Protect), backs the store up continuously
	// (DynamoDB, PostgreSQL) or daily (Valkey), keeps logs for a year and gives every zone its own NAT.
	StageProduction Stage = "production"
)

// Egress selects how the servers reach AWS services outside the VPC. S3 and DynamoDB have free gateway endpoints; their
// traffic never leaves the AWS network. Prices apply to us-east-1, on demand, for a month of 730 hours.
type Egress string

// The kinds of egress.
const (
	// EgressNATGateway gives the servers access to the internet: 33 USD per month for each gateway and 0.045 USD per GB. A
	// lab has one gateway, production one per zone.
	EgressNATGateway Egress = "nat-gateway"
	// EgressNATInstance runs NAT on EC2 instances: 7 USD per month for each (t4g.nano with its disk and public address) and
	// no charge per GB. A lab has one, production one per zone. The instance type limits the throughput: 5 Gbit/s in bursts
	// for t4g.nano. While EC2 recovers an instance or a deployment replaces it, servers keep serving from stores in the VPC
	// and from DynamoDB, but new servers can't boot.
	EgressNATInstance Egress = "nat-instance"
	// EgressEndpointsOnly gives the servers no route to the internet, only interface endpoints for the six AWS APIs that
	// they call: 7.30 USD per month for each API and zone (88 USD in two zones) and 0.01 USD per GB.
	EgressEndpointsOnly Egress = "endpoints-only"
)

// A Login selects how visitors prove who they are.
type Login string

// The logins.
const (
	// LoginNone accepts any user name without a proof.
	LoginNone Login = "none"
	// LoginCognito authenticates visitors with an Amazon Cognito user pool.
	LoginCognito Login = "cognito"
)

// An Algorithm selects how the load balancer chooses a server.
type Algorithm string

// The algorithms, as Elastic Load Balancing names them.
const (
	AlgorithmRoundRobin       Algorithm = "round_robin"
	AlgorithmLeastOutstanding Algorithm = "least_outstanding_requests"
	AlgorithmWeightedRandom   Algorithm = "weighted_random"
)

// Config holds the options of a deployment. Each field has a key in the CDK context: -c key=value, or "context" in
// cdk.json.
type Config struct {
	// Name (config) is the name of this configuration. -c config=NAME reads configs/NAME.json, a JSON object of these keys.
	// -c config=PATH reads that file, which must be called NAME.json. Keys after -c and in cdk.json take precedence. The
	// stacks are NAME-Network and NAME-Lab, so an account and region can have several labs, and no command reaches another
	// lab by mistake. There is no default: the stacks are then StatelessNetwork and StatelessLab.
	Name string
	// Store (store) is the session store. The default is dynamodb, because it costs nothing when idle.
	Store config.StoreKind
	// MigrateTo (migrateTo) is the store that sessions will move to. The deployment has both stores, and sessions stay in the
	// old one. It is the first of the three deployments of a migration (docs/migrate.md). There is no default.
	MigrateTo config.StoreKind
	// MigrateFrom (migrateFrom) is the store that sessions move from. The deployment has both stores, and each session moves
	// to the new one when it is next used. It is the second deployment of a migration. The third has neither key and removes
	// the old store. There is no default.
	MigrateFrom config.StoreKind
	// Revocation (revocation) is the store of the list of revoked tokens. With a list, a logout ends a token on every server
	// within 5 seconds. dynamodb is a table that costs nothing when idle and keeps its data; valkey is a cache with the default
	// options. The default is none: a copy of a token is valid until it expires.
	Revocation config.StoreKind
	// Sticky (sticky) makes the load balancer send each visitor to the same server. It must be true with store=memory and
	// false with every other store. The default is false.
	Sticky bool
	// Stage (stage) is the purpose of the deployment. A lab (the default) can be destroyed without leftovers that cost money.
	// production needs a named configuration and HTTPS, and keeps data, backups and protection.
	Stage Stage
	// Protect (protect) turns on deletion protection of the load balancer, the table, the database and the user pool, and
	// termination protection of the stacks. The default is true in production and false in a lab. Use false for the first
	// deployment of production, which may fail, and before cdk destroy (docs/deploy.md).
	Protect bool
	// Server (server) is the folder of the Go program that the servers run, in any module, relative to the working directory.
	// It must answer /healthz and /readyz (docs/your-server.md). The default ./app is the sample application.
	Server string
	// CertificateARN (certificateArn) is the ARN of a certificate of AWS Certificate Manager in the region of the
	// deployment. It turns on HTTPS. There is no default: without a certificate the load balancer serves plain HTTP, and an
	// output of the stack warns about it.
	CertificateARN string
	// Domain (domain) is the host name of the application, such as lab.example.com, in the public hosted zone of Amazon
	// Route 53 with the id HostedZoneID (hostedZoneId). Set both or neither, and not with certificateArn. The deployment
	// creates a certificate that AWS renews, and a DNS record that points to the load balancer. There are no defaults.
	Domain, HostedZoneID string
	// CloudFront (cloudfront) serves the application through Amazon CloudFront and gives the load balancer no public
	// address. It provides HTTPS without a domain, and excludes certificateArn and domain. Ten million requests and a
	// terabyte per month are free. The default is false. Turning it on or off creates a new load balancer. It needs a region
	// that accounts don't have to opt in to, because CloudFront can't write its logs to the others.
	CloudFront bool
	// AllowFrom (allowFrom) are the addresses that may connect to the load balancer: up to 25 IPv4 ranges, separated by
	// commas. The load balancer has no IPv6 addresses. The default is 0.0.0.0/0. Not with cloudfront, whose load balancer
	// accepts connections from CloudFront only.
	AllowFrom string
	// Algorithm (algorithm) is how the load balancer chooses a server: round_robin (the default) in turn;
	// least_outstanding_requests the server with the fewest requests in flight, for servers or requests of different speed;
	// weighted_random at random, with fewer requests for a server that fails or is unreachable more often than the others. With
	// sticky=true only round_robin is allowed.
	Algorithm Algorithm
	// ZonalShift (zonalShift) registers the load balancer and the Auto Scaling group with zonal shift of AWS Application Recovery
	// Controller, so that operators can take an impaired zone out of service (docs/deploy.md). The default is true, because it
	// costs nothing and changes nothing until somebody starts a shift.
	ZonalShift bool
	// WAF (waf) checks requests with AWS WAF and three groups of rules that AWS maintains, for 8 USD per month and 0.60 USD
	// per million requests. With cloudfront it has two groups, for 7 USD, without the list of addresses with a bad reputation,
	// because the load balancer sees CloudFront's addresses instead of the visitors'. The default is false.
	WAF bool
	// Login (login) is how visitors log in: none (the default) accepts any user name, cognito authenticates visitors with an
	// Amazon Cognito user pool (docs/login.md). Cognito needs HTTPS by domain or cloudfront, and access to the internet.
	Login Login
	// InstanceTypes (instanceType) are the instance types of the servers, of ARM families because the server is compiled for
	// arm64. Separate several by commas, the preferred one first. They should be of similar size, because each server gets
	// the same share of the requests. The default t4g.small (two cores, 2 GiB) costs 12.26 USD per month.
	InstanceTypes string
	// SpotPercent (spotPercent) is the percentage of spot instances in the fleet, from 0, the default, to 100. They cost
	// about a third. AWS may terminate them with two minutes' notice, which ends no session except with store=memory. With
	// several instance types that happens less often.
	SpotPercent int
	// MinServers (minServers) is the minimum size of the fleet, from 1 to 100. The default is 2: one in each zone.
	MinServers int
	// MaxServers (maxServers) is the maximum size of the fleet, above MinServers and at most 100. The default is 6. During a
	// deployment the fleet runs at this size for some minutes (docs/stacks.md).
	MaxServers int
	// Zones (zones) is the number of availability zones, 2 or 3. The default is 2, the minimum of an Application Load
	// Balancer. It can be raised later, which makes a new Memcached cluster or serverless cache. To lower it, destroy the
	// lab first, because its resources are in the removed zone.
	Zones int
	// AvailabilityZones (availabilityZones) are the names of two or three zones, separated by commas, such as
	// eu-west-1a,eu-west-1c. Choose them where the first zones lack ARM instances, or VPC origins with cloudfront. There is
	// no default: the first zones of the region, by name. To change them, destroy the lab first.
	AvailabilityZones string
	// VPC selects a VPC that exists, instead of one that the deployment creates.
	VPC VPCConfig
	// Egress (egress) is how servers reach AWS: nat-gateway (the default, managed), nat-instance (the cheapest), or
	// endpoints-only (no internet).
	Egress Egress
	// NATInstanceType (natInstanceType) is the instance type of NAT instances, of an ARM family. The default t4g.nano is
	// enough for the AWS API calls of a fleet; large transfers use the gateway endpoints.
	NATInstanceType string

	// PermissionsBoundary (permissionsBoundary) is the ARN of an IAM policy that becomes the permissions boundary of every
	// role. There is no default.
	PermissionsBoundary string
	// Tags (tags) are tags of every resource that can have them, such as team=web,cost-center=42. Changing them replaces the
	// servers one by one. There is no default.
	Tags string

	// AlarmEmail (alarmEmail) is the address that gets a message when an alarm starts and when it ends. Its owner must
	// confirm the subscription first. There is no default: alarms then show on the dashboard only.
	AlarmEmail string

	// Spending bounds what the deployment can cost.
	Spending SpendingConfig

	// Load configures the load test from many machines.
	Load LoadConfig

	// The options of the stores. Each is allowed with its own store only.
	DynamoDB DynamoDBConfig
	Cache    CacheConfig
	Postgres PostgresConfig
}

// StoreRedis selects Redis OSS instead of Valkey. Servers use it as config.StoreValkey.
const StoreRedis config.StoreKind = "redis"

// Warn writes a line for each setting that is allowed but risky.
func (c Config) Warn(w io.Writer) {
	if c.Store == config.StoreMemory {
		fmt.Fprintln(w, "warning: store=memory keeps each session in one server's memory, so that its visitors are logged out"+
			" when the server ends: use it as a baseline for comparisons only")
	}
	if c.Load.Loaders > 0 && c.AllowFrom != anyAddress {
		fmt.Fprintln(w, "warning: the loaders connect to the load balancer from the addresses of the NAT: add those to allowFrom")
	}
}

// HTTPS reports whether visitors connect over TLS.
func (c Config) HTTPS() bool { return c.CertificateARN != "" || c.Domain != "" || c.CloudFront }

// LoadConfig holds the options of the load test from many machines, which are called loaders.
type LoadConfig struct {
	// Loaders (loaders) is the number of loaders, from 1 to 50. The default is 0: there is no load stack.
	Loaders int
	// Rate (loadRate) is the number of requests per second of each loader, as lab load --rate takes it: 200, a ramp such as
	// 100..500, or several steps such as 100,200,400. The default is 200.
	Rate string
	// Duration (loadDuration) is the duration of the measurement, from 10s to 4h. The default is 5m.
	Duration time.Duration
	// Sessions (loadSessions) is the number of virtual users of each loader, from 1 to 100000. The default is 1000.
	Sessions int
	// Mix (loadMix) is the mix of requests, as lab load --mix takes it: read=80,write=20. Empty means the default of lab
	// load.
	Mix string
	// History (loadHistory) also stores every request and response for lab check: about 200 bytes per request before
	// compression. The default is false.
	History bool
	// InstanceType (loaderInstanceType) is the instance type of a loader, of an ARM family. The default c7g.large (two
	// cores) sends some thousand requests per second and costs 0.0725 USD per hour in us-east-1.
	InstanceType string
}
