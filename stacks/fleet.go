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
	// targetRequestsPerMinute is the request rate per server that auto scaling aims at: 500 per second, so that a load test
	// of a few thousand requests per second makes the fleet grow.
	targetRequestsPerMinute = 30_000
	// targetCPUPercent is the CPU usage that auto scaling aims at, in case requests cost more CPU than usual.
	targetCPUPercent = 50
)

// FleetProps are the inputs of NewFleet.
type FleetProps struct {
	Vpc awsec2.IVpc
	// Subnets hold the servers. AWS APIs must be reachable from them. The default is private subnets.
	Subnets  *awsec2.SubnetSelection
	Balancer Balancer
	// Attachments connect the servers to the parts that they use.
	Attachments []Attachment
	// Stage selects how long logs are kept, and in production encrypts them with a customer managed key.
	Stage Stage
	// Environment is the environment of each server, to which the attachments and the boot script add values.
	Environment Environment
	// ServerBinary is the path of the compiled server.
	ServerBinary           string
	InstanceTypes          []string // the preferred first
	SpotPercent            int
	MinServers, MaxServers int
	CPUCredits             awsec2.CpuCredits // of burstable instance types; empty for others
	// ZonalShift lets operators take a zone out of service. Auto Scaling then launches servers in the other zones only.
	ZonalShift bool
}

// Fleet is the Auto Scaling group of web servers.
type Fleet struct {
	Servers
	Group awsautoscaling.AutoScalingGroup
}

// NewFleet defines the servers behind the load balancer and applies the attachments to them.
//
// A deployment replaces the servers and never has fewer in service than before it. CloudFormation keeps
// MinInstancesInService servers during a rolling update, a fixed number: with MinServers it would shrink a fleet that has
// scaled out. So a deployment first grows the group to MaxServers with new servers, then replaces the old ones one by one,
// and at the end restores the desired capacity. (A group that is already at MaxServers has one server less while each is
// replaced.) Auto scaling is suspended meanwhile. A new server counts as in service when the target group reports it
// healthy. If it doesn't become healthy within signalTimeout, CloudFormation rolls the deployment back.
//
// The template sets no desired capacity, so that a deployment doesn't undo scaling. After a failed deployment the group may
// stay at MaxServers until auto scaling shrinks it. See docs/decisions/0001-rolling-update.md for the alternative and the
// reasons.
func NewFleet(scope constructs.Construct, id string, props *FleetProps) Fleet {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	binary := awss3assets.NewAsset(scope, jsii.String("Server"), &awss3assets.AssetProps{Path: jsii.String(props.ServerBinary)})
	userData := awsec2.UserData_ForLinux(nil)
	role, securityGroup := newServerRole(scope, binary), newServerSecurityGroup(scope, props.Vpc)
	fleet := Fleet{Servers: Servers{Role: role, Connections: securityGroup, Environment: props.Environment}}
	newTelemetry(scope, props.Stage)(&fleet.Servers)
	for _, attach := range props.Attachments {
		attach(&fleet.Servers)
	}
	fleet.Group = newGroup(scope, role, securityGroup, userData, props)

	stack := awscdk.Stack_Of(scope)
	group := fleet.Group.Node().DefaultChild().(awsautoscaling.CfnAutoScalingGroup)
	script := bootParameters{
		Region: *stack.Region(), Stack: *stack.StackId(), Group: *stack.GetLogicalId(group),
		TargetGroup: *props.Balancer.TargetGroup.TargetGroupArn(), Port: serverPort(fleet.Environment.Config),
		Bucket: *binary.S3BucketName(), Key: *binary.S3ObjectKey(), Server: fleet.Environment,
	}.script()
	userData.AddCommands(jsii.String(script))

	fleet.Group.AttachToApplicationTargetGroup(props.Balancer.TargetGroup)
	fleet.Group.ScaleOnRequestCount(jsii.String("Requests"), &awsautoscaling.RequestCountScalingProps{
		TargetRequestsPerMinute: jsii.Number(targetRequestsPerMinute),
	})
	fleet.Group.ScaleOnCpuUtilization(jsii.String("Cpu"), &awsautoscaling.CpuUtilizationScalingProps{
		TargetUtilizationPercent: jsii.Number(targetCPUPercent),
	})
	suppress(fleet.Group.Node().FindChild(jsii.String("ASG")), "AwsSolutions-AS3",
		"Scaling is normal and has a history in EC2 Auto Scaling; alarms report servers that fail.")
	// A booting server needs its permissions, and a listener: a target group without one reports no server as healthy.
	fleet.Group.Node().AddDependency(append(fleet.Dependencies, role, securityGroup, props.Balancer.Listener)...)
	return fleet
}

// newServerRole defines the role of the servers. It may download the binary, read the health of targets and use Session
// Manager. The Auto Scaling group adds the permission to signal the stack.
func newServerRole(scope constructs.Construct, binary awss3assets.Asset) awsiam.Role {
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("ec2.amazonaws.com"), nil),
		Description: jsii.String("The web servers"),
	})
	role.AddToPolicy(allow([]*string{binary.Bucket().ArnForObjects(binary.S3ObjectKey())}, "s3:GetObject"))
	allowSessionManager(role, "elasticloadbalancing:DescribeTargetHealth")
	return role
}

// newServerSecurityGroup defines a security group that allows outgoing HTTPS, for the AWS APIs, and nothing incoming. The
// load balancer adds its own rule.
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
		// Each deployment uses the newest image: deploy again to install patches.
		MachineImage: awsec2.MachineImage_LatestAmazonLinux2023(&awsec2.AmazonLinux2023ImageSsmParameterProps{
			CpuType: awsec2.AmazonLinuxCpuType_ARM_64,
		}),
		Role:                    role,
		SecurityGroup:           securityGroup,
		UserData:                userData,
		RequireImdsv2:           jsii.Bool(true),
		HttpPutResponseHopLimit: jsii.Number(1),  // containers on the instance get no credentials
		DetailedMonitoring:      jsii.Bool(true), // CPU per minute instead of every five; 2.10 USD per server and month
		BlockDevices:            encryptedVolume(8),
		CpuCredits:              props.CPUCredits,
	})
	awscdk.Tags_Of(machine).Add(jsii.String("Name"), jsii.String(serverName), nil)
	groupProps := awsautoscaling.AutoScalingGroupProps{
		Vpc:         props.Vpc,
		VpcSubnets:  props.Subnets,
		MinCapacity: jsii.Number(props.MinServers),
		MaxCapacity: jsii.Number(props.MaxServers),
		HealthChecks: awsautoscaling.HealthChecks_WithAdditionalChecks(&awsautoscaling.AdditionalHealthChecksOptions{
			AdditionalTypes: &[]awsautoscaling.AdditionalHealthCheckType{awsautoscaling.AdditionalHealthCheckType_ELB},
			GracePeriod:     duration(healthyTimeout),
		}),
		// Servers read the session keys at boot only. Their maximum age makes them see every rotation.
		MaxInstanceLifetime:   awscdk.Duration_Days(jsii.Number(serverLifetimeDays)),
		DefaultInstanceWarmup: duration(90 * time.Second), // the CPU usage of a boot doesn't measure load
		Signals: awsautoscaling.Signals_WaitForMinCapacity(&awsautoscaling.SignalsOptions{
			Timeout: duration(signalTimeout), MinSuccessPercentage: jsii.Number(100),
		}),
		UpdatePolicy: awsautoscaling.UpdatePolicy_RollingUpdate(&awsautoscaling.RollingUpdateOptions{
			MinInstancesInService: jsii.Number(props.MaxServers - 1), // the maximum that CloudFormation accepts
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
		groupProps.MixedInstancesPolicy = mixedInstances(machine, props)
		// Replace and drain a spot instance before AWS interrupts it.
		groupProps.CapacityRebalance = jsii.Bool(true)
	}
	group := awsautoscaling.NewAutoScalingGroup(scope, jsii.String("Group"), &groupProps)
	if groupProps.MixedInstancesPolicy != nil {
		suppress(group.Node().FindChild(jsii.String("ASG")), "CdkNagValidationFailure", "The rule about volumes doesn't support mixed "+
			"instances. The guardrail about encryption checks the launch template.", "AwsSolutions-EC26")
	}
	// Outside deployments too, Auto Scaling launches the replacement of a server (too old, unhealthy, zone rebalancing)
	// before it terminates the server.
	resource := group.Node().DefaultChild().(awsautoscaling.CfnAutoScalingGroup)
	resource.SetInstanceMaintenancePolicy(
		&awsautoscaling.CfnAutoScalingGroup_InstanceMaintenancePolicyProperty{
			MinHealthyPercentage: jsii.Number(100), MaxHealthyPercentage: jsii.Number(200),
		})
	// Unhealthy servers of an impaired zone are replaced, in the other zones: the fleet has no spare servers there, and sessions
	// are not on servers. The alternative, IgnoreUnhealthy, is for fleets that are large enough without the zone.
	resource.SetAvailabilityZoneImpairmentPolicy(
		&awsautoscaling.CfnAutoScalingGroup_AvailabilityZoneImpairmentPolicyProperty{
			ZonalShiftEnabled: jsii.Bool(props.ZonalShift), ImpairedZoneHealthCheckBehavior: jsii.String("ReplaceUnhealthy"),
		})
	return group
}

// mixedInstances distributes the fleet over several instance types, and over spot and on-demand instances.
func mixedInstances(machine awsec2.LaunchTemplate, props *FleetProps) *awsautoscaling.MixedInstancesPolicy {
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
