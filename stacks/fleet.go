package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const (
	// requestsPerMinute is what scaling aims at for each server: 500 a second, so that a load test of a few thousand
	// makes the fleet grow.
	requestsPerMinute = 30_000
	// cpuPercent is the second opinion, for requests that cost more.
	cpuPercent = 50
)

// FleetProps are the inputs of NewFleet.
type FleetProps struct {
	Vpc      awsec2.IVpc
	Balancer Balancer
	// Attachments are the parts that the servers use.
	Attachments []Attachment
	// Stage says how long logs are kept, and in production encrypts them with a key of their own.
	Stage Stage
	// Server is the environment of each server, before the attachments and the boot add what they know.
	Server Environment
	// Binary is the path of the compiled server.
	Binary                 string
	InstanceTypes          []string // the preferred first
	SpotPercent            int
	MinServers, MaxServers int
}

// Fleet is the Auto Scaling group of web servers.
type Fleet struct {
	Servers
	Group awsautoscaling.AutoScalingGroup
}

// NewFleet defines the servers behind the balancer and what is attached to them.
//
// A deploy replaces servers without ever having fewer than before it. CloudFormation holds MinInstancesInService while
// it rolls, and can't hold "as many as there are"; with the size of the quiet fleet it would cut down a fleet that has
// scaled out. So a deploy first fills the group up to MaxServers with new servers, then takes the old ones out one by
// one, and in the end restores the desired capacity that it found. (A group that is at MaxServers already runs one short
// while each is replaced.) Scaling is suspended meanwhile, and the group at its largest. A new server counts when the
// target group calls it healthy; one that isn't in time undoes the deploy.
//
// The template states no desired capacity, so that a deploy doesn't undo what scaling has done. After a deploy that
// failed the group may be left at MaxServers; scaling takes it down. docs/decisions/0001-rolling-update.md has the
// alternative and the reasons.
func NewFleet(scope constructs.Construct, id string, props *FleetProps) Fleet {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	binary := awss3assets.NewAsset(scope, jsii.String("Server"), &awss3assets.AssetProps{Path: jsii.String(props.Binary)})
	userData := awsec2.UserData_ForLinux(nil)
	role, securityGroup := newServerRole(scope, binary), newServerSecurityGroup(scope, props.Vpc)
	fleet := Fleet{Servers: Servers{Role: role, Connections: securityGroup, Environment: props.Server}}
	newTelemetry(scope, props.Stage)(&fleet.Servers)
	for _, attach := range props.Attachments {
		attach(&fleet.Servers)
	}
	fleet.Group = newGroup(scope, role, securityGroup, userData, props)

	stack := awscdk.Stack_Of(scope)
	group := fleet.Group.Node().DefaultChild().(awsautoscaling.CfnAutoScalingGroup)
	script := boot{
		Region: *stack.Region(), Stack: *stack.StackId(), Group: *stack.GetLogicalId(group),
		TargetGroup: *props.Balancer.TargetGroup.TargetGroupArn(), Port: port(fleet.Environment.Config),
		Bucket: *binary.S3BucketName(), Key: *binary.S3ObjectKey(), Server: fleet.Environment,
	}.script()
	userData.AddCommands(jsii.String(script))

	fleet.Group.AttachToApplicationTargetGroup(props.Balancer.TargetGroup)
	fleet.Group.ScaleOnRequestCount(jsii.String("Requests"), &awsautoscaling.RequestCountScalingProps{
		TargetRequestsPerMinute: jsii.Number(requestsPerMinute),
	})
	fleet.Group.ScaleOnCpuUtilization(jsii.String("Cpu"), &awsautoscaling.CpuUtilizationScalingProps{
		TargetUtilizationPercent: jsii.Number(cpuPercent),
	})
	accept(fleet.Group.Node().FindChild(jsii.String("ASG")), "AwsSolutions-AS3",
		"Scaling is the normal course of things and its history is kept; alarms tell of servers that fail.")
	// A server that boots needs its permissions, and a listener: without one, a target group calls no server healthy.
	fleet.Group.Node().AddDependency(append(fleet.Needs, role, securityGroup, props.Balancer.Listener)...)
	return fleet
}

// newServerRole may fetch the one binary, ask for its own health and be reached by Session Manager. The Auto Scaling
// group adds that it may signal its stack.
func newServerRole(scope constructs.Construct, binary awss3assets.Asset) awsiam.Role {
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("ec2.amazonaws.com"), nil),
		Description: jsii.String("The web servers"),
	})
	role.AddToPolicy(allow([]*string{binary.Bucket().ArnForObjects(binary.S3ObjectKey())}, "s3:GetObject"))
	admitSessionManager(role, "elasticloadbalancing:DescribeTargetHealth")
	return role
}

// newServerSecurityGroup lets nobody in (the load balancer adds itself) and HTTPS out, to the APIs of AWS.
func newServerSecurityGroup(scope constructs.Construct, vpc awsec2.IVpc) awsec2.SecurityGroup {
	group := awsec2.NewSecurityGroup(scope, jsii.String("SecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc: vpc, Description: jsii.String("The web servers"), AllowAllOutbound: jsii.Bool(false),
	})
	group.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_HTTPS(), jsii.String("AWS APIs"), nil)
	return group
}

func newGroup(scope constructs.Construct, role awsiam.Role, securityGroup awsec2.SecurityGroup, userData awsec2.UserData,
	props *FleetProps) awsautoscaling.AutoScalingGroup {
	machine := awsec2.NewLaunchTemplate(scope, jsii.String("LaunchTemplate"), &awsec2.LaunchTemplateProps{
		InstanceType: awsec2.NewInstanceType(jsii.String(props.InstanceTypes[0])),
		// The newest image at each deploy: patches come by deploying.
		MachineImage: awsec2.MachineImage_LatestAmazonLinux2023(&awsec2.AmazonLinux2023ImageSsmParameterProps{
			CpuType: awsec2.AmazonLinuxCpuType_ARM_64,
		}),
		Role:                    role,
		SecurityGroup:           securityGroup,
		UserData:                userData,
		RequireImdsv2:           jsii.Bool(true),
		HttpPutResponseHopLimit: jsii.Number(1),  // nothing behind a bridge asks for credentials
		DetailedMonitoring:      jsii.Bool(true), // CPU by the minute, not by five; 2.10 USD a month and server
		BlockDevices:            encryptedVolume(),
	})
	awscdk.Tags_Of(machine).Add(jsii.String("Name"), jsii.String(serverName), nil)
	groupProps := awsautoscaling.AutoScalingGroupProps{
		Vpc:         props.Vpc,
		VpcSubnets:  &awsec2.SubnetSelection{SubnetGroupName: jsii.String(fleetSubnets)},
		MinCapacity: jsii.Number(props.MinServers),
		MaxCapacity: jsii.Number(props.MaxServers),
		HealthChecks: awsautoscaling.HealthChecks_WithAdditionalChecks(&awsautoscaling.AdditionalHealthChecksOptions{
			AdditionalTypes: &[]awsautoscaling.AdditionalHealthCheckType{awsautoscaling.AdditionalHealthCheckType_ELB},
			GracePeriod:     duration(healthyTimeout),
		}),
		// New servers read the keys of sessions anew, which may have rotated.
		MaxInstanceLifetime:   awscdk.Duration_Days(jsii.Number(serverLifetimeDays)),
		DefaultInstanceWarmup: duration(90 * time.Second), // the first minute of a boot says nothing about load
		Signals: awsautoscaling.Signals_WaitForMinCapacity(&awsautoscaling.SignalsOptions{
			Timeout: duration(signalTimeout), MinSuccessPercentage: jsii.Number(100),
		}),
		UpdatePolicy: awsautoscaling.UpdatePolicy_RollingUpdate(&awsautoscaling.RollingUpdateOptions{
			MinInstancesInService: jsii.Number(props.MaxServers - 1), // the most that CloudFormation takes
			MaxBatchSize:          jsii.Number(1),
			MinSuccessPercentage:  jsii.Number(100),
			WaitOnResourceSignals: jsii.Bool(true),
			PauseTime:             duration(signalTimeout),
			SuspendProcesses: &[]awsautoscaling.ScalingProcess{
				awsautoscaling.ScalingProcess_ALARM_NOTIFICATION, awsautoscaling.ScalingProcess_AZ_REBALANCE,
				awsautoscaling.ScalingProcess_HEALTH_CHECK, awsautoscaling.ScalingProcess_REPLACE_UNHEALTHY,
				awsautoscaling.ScalingProcess_SCHEDULED_ACTIONS,
			},
		}),
	}
	if props.SpotPercent == 0 && len(props.InstanceTypes) == 1 {
		groupProps.LaunchTemplate = machine
	} else {
		groupProps.MixedInstancesPolicy = mixed(machine, props)
		// A spot instance that is likely to end soon is replaced, and drained, before AWS ends it.
		groupProps.CapacityRebalance = jsii.Bool(true)
	}
	group := awsautoscaling.NewAutoScalingGroup(scope, jsii.String("Group"), &groupProps)
	if groupProps.MixedInstancesPolicy != nil {
		accept(group.Node().FindChild(jsii.String("ASG")), "CdkNagValidationFailure", "The rule about volumes knows no mixed "+
			"instances. The guardrail about encryption checks the launch template.", "AwsSolutions-EC26")
	}
	// Outside deploys too, a server that is to be replaced (too old, unhealthy, in a crowded zone) goes when the new one is
	// there.
	group.Node().DefaultChild().(awsautoscaling.CfnAutoScalingGroup).SetInstanceMaintenancePolicy(
		&awsautoscaling.CfnAutoScalingGroup_InstanceMaintenancePolicyProperty{
			MinHealthyPercentage: jsii.Number(100), MaxHealthyPercentage: jsii.Number(200),
		})
	return group
}

// mixed spreads the fleet over instance types, and over spot and on-demand instances.
func mixed(machine awsec2.LaunchTemplate, props *FleetProps) *awsautoscaling.MixedInstancesPolicy {
	var overrides []*awsautoscaling.LaunchTemplateOverrides
	for _, name := range props.InstanceTypes {
		overrides = append(overrides, &awsautoscaling.LaunchTemplateOverrides{
			InstanceType: awsec2.NewInstanceType(jsii.String(name)),
		})
	}
	return &awsautoscaling.MixedInstancesPolicy{
		LaunchTemplate: machine, LaunchTemplateOverrides: &overrides,
		InstancesDistribution: &awsautoscaling.InstancesDistribution{
			OnDemandBaseCapacity:                jsii.Number(0),
			OnDemandPercentageAboveBaseCapacity: jsii.Number(100 - props.SpotPercent),
			SpotAllocationStrategy:              awsautoscaling.SpotAllocationStrategy_PRICE_CAPACITY_OPTIMIZED,
		},
	}
}
