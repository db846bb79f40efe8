package stacks

import (
	"net"
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
	// keep it for longer (see serverTimings), or the balancer sends a request into a connection that is just closing.
	idleTimeout = 60 * time.Second
	// deregistrationDelay is how long a server that leaves may finish what it was sent. The server drains for longer.
	deregistrationDelay = 30 * time.Second
)

// BalancerProps are the inputs of NewBalancer.
type BalancerProps struct {
	Vpc awsec2.IVpc
	// Stage turns on deletion protection in production, and keeps access logs for a year instead of a month.
	Stage Stage
	// CertificateARN turns on HTTPS, with a redirect from HTTP. So do Domain and HostedZoneID, which make a certificate for
	// the name and lead it here. All empty means plain HTTP.
	CertificateARN, Domain, HostedZoneID string
	// Private keeps the load balancer from the internet: it has no public address, and lets nobody in until told whom.
	Private bool
	// Sticky sends each visitor to the same server, for as long as sessions live.
	Sticky bool
	// ServerPort is where the servers listen.
	ServerPort int
}

// Balancer is an Application Load Balancer with one target group.
type Balancer struct {
	LoadBalancer elb.ApplicationLoadBalancer
	TargetGroup  elb.ApplicationTargetGroup
	Listener     elb.ApplicationListener
	URL          string // a token
}

// NewBalancer defines the load balancer. Unless it is Sticky, it never sends a visitor to the same server on purpose: any
// may take any request. Its health check is /healthz, which doesn't ask the session store, because an outage of the
// store must not empty the target group.
func NewBalancer(scope constructs.Construct, id string, props *BalancerProps) Balancer {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	logs := newLogBucket(scope, props.Stage, awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED)
	subnets := balancerSubnets
	if props.Private {
		subnets = fleetSubnets
	}
	balancer := elb.NewApplicationLoadBalancer(scope, jsii.String("LoadBalancer"), &elb.ApplicationLoadBalancerProps{
		Vpc:                     props.Vpc,
		VpcSubnets:              &awsec2.SubnetSelection{SubnetGroupName: jsii.String(subnets)},
		InternetFacing:          jsii.Bool(!props.Private),
		IdleTimeout:             duration(idleTimeout),
		DropInvalidHeaderFields: jsii.Bool(true),
		DeletionProtection:      jsii.Bool(props.Stage == StageProduction),
	})
	for _, group := range *balancer.Connections().SecurityGroups() {
		if props.Private {
			break
		}
		accept(group, "AwsSolutions-EC23", "Visitors come from anywhere. The load balancer is the only part that they reach.")
	}
	// Not LogAccessLogs, which needs to know the region: its policy names an AWS account of the region.
	balancer.SetAttribute(jsii.String("access_logs.s3.enabled"), jsii.String("true"))
	balancer.SetAttribute(jsii.String("access_logs.s3.bucket"), logs.BucketName())
	balancer.Node().AddDependency(logs.Policy()) // the bucket is tried when logging is turned on

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
		certificate = nameBalancer(scope, balancer, props.Domain, props.HostedZoneID)
	case props.CertificateARN != "":
		certificate = awscertificatemanager.Certificate_FromCertificateArn(balancer, jsii.String("Certificate"),
			jsii.String(props.CertificateARN))
	}
	listener, scheme := addListeners(balancer, targets, certificate, !props.Private)
	return Balancer{balancer, targets, listener, scheme + "://" + host}
}

// nameBalancer leads the domain to the load balancer, over IPv4 as it listens, and returns a certificate for it that ACM
// renews. Records are made by the zone's id alone, so that its name may be the domain or any part of its end.
func nameBalancer(scope constructs.Construct, balancer elb.ApplicationLoadBalancer, domain, zoneID string) (
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

// addListeners makes the load balancer listen, if open to the internet, and returns the listener that forwards to the
// targets.
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
	balancer.AddRedirect(nil) // port 80 to 443, permanently
	return balancer.AddListener(jsii.String("Https"), &elb.BaseApplicationListenerProps{
		Port: jsii.Number(443), Protocol: elb.ApplicationProtocol_HTTPS, DefaultTargetGroups: forward,
		Certificates: &[]elb.IListenerCertificate{elb.ListenerCertificate_FromCertificateManager(certificate)},
		// TLS 1.3, and 1.2 with forward secrecy and authenticated ciphers only; key exchange that a quantum computer
		// doesn't break for those who offer it.
		SslPolicy: elb.SslPolicy_TLS13_12_RES_PQ,
	}), "https"
}

// newLogBucket defines the bucket of access logs. It outlives the stack, because CloudFormation can't delete a bucket
// with logs in it; what it holds expires. SSE-S3 is the only encryption that the load balancer writes.
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
	accept(bucket, "AwsSolutions-S1", "This bucket is where access logs go; logs of its own would need a further bucket.")
	bucket.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{
			awsiam.NewServicePrincipal(jsii.String("logdelivery.elasticloadbalancing.amazonaws.com"), nil),
		},
		Actions:   jsii.Strings("s3:PutObject"),
		Resources: &[]*string{bucket.ArnForObjects(jsii.String("AWSLogs/" + *awscdk.Aws_ACCOUNT_ID() + "/*"))},
	}))
	return bucket
}

// serverTimings makes the server outlast the load balancer: it keeps idle connections for longer, and when it is told to
// end, it drains for longer than requests keep coming.
func serverTimings(server *config.Config) {
	server.KeepAlive = idleTimeout + 15*time.Second
	server.DrainTimeout = deregistrationDelay + 10*time.Second
}

// port is where the server listens.
func port(server config.Config) int {
	_, text, err := net.SplitHostPort(server.Addr)
	if err != nil {
		panic(err) // the default address is part of the program
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}
