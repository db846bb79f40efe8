package stacks

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"time"

	"stateless-servers/app/config"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53targets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const (
	// idleTimeout is how long the load balancer keeps an idle connection, to a visitor or to a server. The server must
	// keep it for longer (see setServerTimeouts), or the load balancer may send a request on a connection that is closing.
	idleTimeout = 60 * time.Second
	// deregistrationDelay is how long a server that is being removed may finish its requests. The server drains for longer.
	deregistrationDelay = 30 * time.Second
)

// BalancerProps are the inputs of NewBalancer.
type BalancerProps struct {
	Vpc awsec2.IVpc
	// Subnets hold the load balancer. The default is public subnets; with Private it is private subnets.
	Subnets *awsec2.SubnetSelection
	// Stage keeps access logs in production for a year instead of a month.
	Stage Stage
	// Protect turns on deletion protection.
	Protect bool
	// CertificateARN turns on HTTPS, with a redirect from HTTP. Domain and HostedZoneID do so too: they create a certificate
	// for the name and a DNS record that points to the load balancer. All empty means plain HTTP.
	CertificateARN, Domain, HostedZoneID string
	// AllowFrom are the ranges of IPv4 addresses that may connect, in CIDR notation. The default is any address. A Private
	// load balancer ignores it.
	AllowFrom []string
	// Private gives the load balancer no public address, and a security group that accepts nothing until rules are added.
	Private bool
	// Sticky sends each visitor to the same server, by a cookie that lasts for a day.
	Sticky bool
	// Algorithm chooses a server for a request that isn't sticky. Empty means AlgorithmRoundRobin.
	Algorithm Algorithm
	// ZonalShift lets operators take a zone out of service.
	ZonalShift bool
	// ServerPort is the port that the servers listen on.
	ServerPort int
}

// Balancer is an Application Load Balancer with one target group.
type Balancer struct {
	LoadBalancer elb.ApplicationLoadBalancer
	TargetGroup  elb.ApplicationTargetGroup
	Listener     elb.ApplicationListener
	URL          string // a token
}

// NewBalancer defines the load balancer. Unless it is Sticky, any server may get any request. Its health check is
// /healthz, which doesn't call the session store: an outage of the store must not take every server out of service.
func NewBalancer(scope constructs.Construct, id string, props *BalancerProps) Balancer {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	logs := newLogBucket(scope, props.Stage, awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED)
	balancer := elb.NewApplicationLoadBalancer(scope, jsii.String("LoadBalancer"), &elb.ApplicationLoadBalancerProps{
		Vpc:                     props.Vpc,
		VpcSubnets:              props.Subnets,
		InternetFacing:          jsii.Bool(!props.Private),
		IdleTimeout:             duration(idleTimeout),
		DropInvalidHeaderFields: jsii.Bool(true),
		DeletionProtection:      jsii.Bool(props.Protect),
	})
	for _, group := range *balancer.Connections().SecurityGroups() {
		if props.Private {
			break
		}
		suppress(group, "AwsSolutions-EC23", "The load balancer is public. It is the only part that visitors can reach.")
	}
	// LogAccessLogs needs a known region, because its bucket policy names an AWS account of that region.
	balancer.SetAttribute(jsii.String("access_logs.s3.enabled"), jsii.String("true"))
	balancer.SetAttribute(jsii.String("access_logs.s3.bucket"), logs.BucketName())
	balancer.SetAttribute(jsii.String("zonal_shift.config.enabled"), jsii.String(strconv.FormatBool(props.ZonalShift)))
	balancer.Node().AddDependency(logs.Policy()) // turning on logging writes a test object to the bucket

	targets := elb.NewApplicationTargetGroup(scope, jsii.String("TargetGroup"), &elb.ApplicationTargetGroupProps{
		Vpc:                 props.Vpc,
		TargetType:          elb.TargetType_INSTANCE,
		Protocol:            elb.ApplicationProtocol_HTTP,
		Port:                jsii.Number(props.ServerPort),
		DeregistrationDelay: duration(deregistrationDelay),
		HealthCheck: &elb.HealthCheck{
			Path:                    jsii.String("/healthz"),
			HealthyHttpCodes:        jsii.String("200"),
			Interval:                duration(10 * time.Second),
			Timeout:                 duration(5 * time.Second),
			HealthyThresholdCount:   jsii.Number(2),
			UnhealthyThresholdCount: jsii.Number(3),
		},
	})
	// Only round_robin allows slow start, which servers don't need: they are ready when they are healthy.
	targets.SetAttribute(jsii.String("load_balancing.algorithm.type"),
		jsii.String(string(cmp.Or(props.Algorithm, AlgorithmRoundRobin))))
	if props.Algorithm == AlgorithmWeightedRandom {
		targets.SetAttribute(jsii.String("load_balancing.algorithm.anomaly_mitigation"), jsii.String("on"))
	}
	targets.SetAttribute(jsii.String("stickiness.enabled"), jsii.String(strconv.FormatBool(props.Sticky)))
	if props.Sticky {
		targets.SetAttribute(jsii.String("stickiness.type"), jsii.String("lb_cookie"))
		targets.SetAttribute(jsii.String("stickiness.lb_cookie.duration_seconds"), jsii.String(strconv.Itoa(24*60*60)))
	}

	host := *balancer.LoadBalancerDnsName()
	var certificate awscertificatemanager.ICertificate
	switch {
	case props.Domain != "":
		host = props.Domain
		certificate = addDomainName(scope, balancer, props.Domain, props.HostedZoneID)
	case props.CertificateARN != "":
		certificate = awscertificatemanager.Certificate_FromCertificateArn(balancer, jsii.String("Certificate"),
			jsii.String(props.CertificateARN))
	}
	anyone := len(props.AllowFrom) == 0 || slices.Contains(props.AllowFrom, anyAddress)
	listener, scheme := addListeners(balancer, targets, certificate, anyone && !props.Private)
	if !anyone && !props.Private {
		allowAddresses(balancer, props.AllowFrom, certificate != nil)
	}
	return Balancer{balancer, targets, listener, scheme + "://" + host}
}

// addDomainName defines a DNS record that points the domain to the load balancer, for IPv4 only, and returns a certificate
// for the domain that ACM renews. Only the zone's id counts: the zone may be that of the domain or of a parent domain.
func addDomainName(scope constructs.Construct, balancer elb.ApplicationLoadBalancer, domain, zoneID string) (
	certificate awscertificatemanager.ICertificate) {
	zone := awsroute53.HostedZone_FromHostedZoneAttributes(scope, jsii.String("Zone"), &awsroute53.HostedZoneAttributes{
		HostedZoneId: jsii.String(zoneID), ZoneName: jsii.String(domain),
	})
	awsroute53.NewARecord(scope, jsii.String("Name"), &awsroute53.ARecordProps{
		Zone:   zone,
		Target: awsroute53.RecordTarget_FromAlias(awsroute53targets.NewLoadBalancerTarget(balancer, nil)),
	})
	return awscertificatemanager.NewCertificate(scope, jsii.String("DomainCertificate"),
		&awscertificatemanager.CertificateProps{
			DomainName: jsii.String(domain),
			Validation: awscertificatemanager.CertificateValidation_FromDns(zone),
		})
}

// addListeners defines the listeners of the load balancer, and returns the scheme of its URL and the listener that forwards
// to the targets. With open, the security group accepts connections from any address. With a certificate the load balancer
// serves HTTPS and redirects HTTP.
func addListeners(balancer elb.ApplicationLoadBalancer, targets elb.ApplicationTargetGroup,
	certificate awscertificatemanager.ICertificate, open bool) (
	listener elb.ApplicationListener, scheme string) {
	forward := &[]elb.IApplicationTargetGroup{targets}
	if certificate == nil {
		return balancer.AddListener(jsii.String("Http"), &elb.BaseApplicationListenerProps{
			Port: jsii.Number(80), Protocol: elb.ApplicationProtocol_HTTP, DefaultTargetGroups: forward,
			Open: jsii.Bool(open),
		}), "http"
	}
	redirect := &elb.ApplicationLoadBalancerRedirectConfig{Open: jsii.Bool(open)} // port 80 to 443, permanently
	balancer.AddRedirect(redirect)
	return balancer.AddListener(jsii.String("Https"), &elb.BaseApplicationListenerProps{
		Port: jsii.Number(443), Protocol: elb.ApplicationProtocol_HTTPS, DefaultTargetGroups: forward, Open: jsii.Bool(open),
		Certificates: &[]elb.IListenerCertificate{elb.ListenerCertificate_FromCertificateManager(certificate)},
		// TLS 1.3, or 1.2 with forward secrecy and authenticated ciphers; post-quantum key exchange for clients that
		// support it.
		SslPolicy: elb.SslPolicy_TLS13_12_RES_PQ,
	}), "https"
}

// allowAddresses lets the ranges of addresses connect to the listeners.
func allowAddresses(balancer elb.ApplicationLoadBalancer, ranges []string, https bool) {
	ports := []awsec2.Port{awsec2.Port_HTTP()}
	if https {
		ports = append(ports, awsec2.Port_HTTPS())
	}
	for _, addresses := range ranges {
		for _, port := range ports {
			balancer.Connections().AllowFrom(awsec2.Peer_Ipv4(jsii.String(addresses)), port, jsii.String("allowFrom"))
		}
	}
}

// newLogBucket defines the bucket of access logs. It outlives the stack, because CloudFormation can't delete a bucket that
// isn't empty. Logs expire after 30 days, in production after 365. SSE-S3 is the only encryption that the load balancer
// supports.
func newLogBucket(scope constructs.Construct, stage Stage, ownership awss3.ObjectOwnership) awss3.Bucket {
	days := 30
	if stage == StageProduction {
		days = 365
	}
	bucket := awss3.NewBucket(scope, jsii.String("AccessLogs"), &awss3.BucketProps{
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   ownership,
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Expiration:                          awscdk.Duration_Days(jsii.Number(days)),
			AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1)),
		}},
	})
	suppress(bucket, "AwsSolutions-S1", "This bucket stores access logs. Logging access to it would need another bucket.")
	bucket.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{
			awsiam.NewServicePrincipal(jsii.String("logdelivery.elasticloadbalancing.amazonaws.com"), nil),
		},
		Actions:   jsii.Strings("s3:PutObject"),
		Resources: &[]*string{bucket.ArnForObjects(jsii.String("AWSLogs/" + *awscdk.Aws_ACCOUNT_ID() + "/*"))},
	}))
	return bucket
}

// setServerTimeouts makes the timeouts of the server longer than those of the load balancer. The server keeps idle
// connections for longer, so that only the load balancer closes them, and it drains for longer than the load balancer sends
// requests to a server that is being removed.
func setServerTimeouts(server *config.Config) {
	server.KeepAlive = idleTimeout + 15*time.Second
	server.DrainTimeout = deregistrationDelay + 10*time.Second
}

// serverPort returns the port that the server listens on.
func serverPort(server config.Config) int {
	_, text, err := net.SplitHostPort(server.Addr)
	if err != nil {
		panic(err) // the address is a constant of the program
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}
