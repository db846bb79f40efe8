package stacks

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// LabProps are the inputs of NewLab.
type LabProps struct {
	awscdk.StackProps
	Config Config
	// Vpc is the VPC of the lab. If it is nil, the Config must name one: see VPCConfig.
	Vpc awsec2.IVpc
	// Subnets are subnets of Vpc. They have no effect on a VPC that the Config names.
	Subnets Subnets
	// ServerBinary is the path of the compiled server: see Build.
	ServerBinary string
}

// Lab is the stack of everything but the network and the loaders.
type Lab struct {
	awscdk.Stack
	Vpc awsec2.IVpc
}

// NewLab defines a stack of the session store, the load balancer, the fleet and the dashboard. It is a single stack without
// nested ones, so that cdk diff shows every change and CloudFormation switches stores in one update: it creates the new
// store, then replaces the servers, and deletes the old store last.
func NewLab(scope constructs.Construct, id string, props *LabProps) Lab {
	c := props.Config
	stackProps := props.StackProps
	stackProps.TerminationProtection = jsii.Bool(c.Protect)
	stack := awscdk.NewStack(scope, jsii.String(id), &stackProps)

	vpc, subnets := props.Vpc, props.Subnets
	if vpc == nil {
		vpc, subnets = c.VPC.importInto(stack, c.AvailabilityZones), groupSubnets()
	}
	server := Environment{Config: config.Default()}
	server.Region = *stack.Region()
	server.PlainHTTP, server.Sticky = !c.HTTPS(), c.Sticky
	setServerTimeouts(&server.Config)

	c.addRegionRules(stack)
	attachments := []Attachment{NewSessionStore(stack, vpc, subnets.Store, c)}
	balancerID, balancerIn := "Balancer", subnets.Balancer
	if c.CloudFront {
		balancerIn = subnets.Fleet
		balancerID = "PrivateBalancer" // a different id, because CloudFormation can't make a load balancer private in place
	}
	balancer := NewBalancer(stack, balancerID, &BalancerProps{
		Private: c.CloudFront, AllowFrom: fields(c.AllowFrom),
		Vpc: vpc, Subnets: balancerIn, Stage: c.Stage, Protect: c.Protect, CertificateARN: c.CertificateARN, Domain: c.Domain, HostedZoneID: c.HostedZoneID,
		ServerPort: serverPort(server.Config),
		Sticky:     c.Sticky, Algorithm: c.Algorithm, ZonalShift: c.ZonalShift,
	})
	visitorHeader := ""
	if c.WAF && c.CloudFront {
		visitorHeader = "x-visitor-address"
	}
	if c.WAF {
		NewFirewall(stack, "Firewall", &FirewallProps{LoadBalancer: balancer.LoadBalancer, Stage: c.Stage,
			RateLimit: c.Spending.RateLimit, VisitorHeader: visitorHeader})
	}
	if c.CloudFront {
		balancer.URL = NewDistribution(stack, "CloudFront", &DistributionProps{Balancer: balancer, Stage: c.Stage,
			VisitorHeader: visitorHeader})
	}
	if c.Login == LoginCognito {
		attachments = append(attachments, NewCognitoLogin(stack, "Login", &CognitoLoginProps{URL: balancer.URL, Stage: c.Stage, Protect: c.Protect,
			Keys: c.Store.ServerSide()}))
	}
	fleet := NewFleet(stack, "Fleet", &FleetProps{
		Vpc: vpc, Subnets: subnets.Fleet, Balancer: balancer, Attachments: attachments, Stage: c.Stage, Environment: server, ServerBinary: props.ServerBinary,
		InstanceTypes: strings.Split(c.InstanceTypes, ","), SpotPercent: c.SpotPercent,
		MinServers: c.MinServers, MaxServers: c.MaxServers, CPUCredits: c.credits(), ZonalShift: c.ZonalShift,
	})
	dashboard := NewDashboard(stack, "Dashboard", &DashboardProps{Balancer: balancer, Fleet: fleet,
		AlarmEmail: c.AlarmEmail})

	if c.Spending.Budget > 0 {
		NewBudget(stack, "Budget", c.Spending.Budget, c.AlarmEmail)
	}

	output(stack, "URL", "The address of the application", balancer.URL)
	output(stack, "Store", "The session store", string(c.Store))
	if next := c.nextDeployment(server.Lifetime); next != "" {
		output(stack, "Migration", "The next deployment of the migration", next)
	}
	output(stack, "DashboardURL", "The dashboard with graphs and alarms", "https://"+*stack.Region()+
		".console.aws.amazon.com/cloudwatch/home?region="+*stack.Region()+"#dashboards:name="+*dashboard.DashboardName())
	if server.PlainHTTP {
		output(stack, "Warning", "A warning about plain HTTP", "Plain HTTP: anybody on the way reads along and can take over "+
			"sessions. For a lab only. Deploy with -c certificateArn=..., -c domain=... or -c cloudfront=true for HTTPS.")
	}
	return Lab{stack, vpc}
}
