package stacks

import (
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const (
	// loadStartDelay is the time from the launch of the loaders to their first request, which lets all of them get ready.
	loadStartDelay = 150 * time.Second
	// loaderOverhead bounds the time of a loader's boot, warm-up and shutdown. After its test's duration and this time the
	// instance terminates itself.
	loaderOverhead = loadStartDelay + 15*time.Minute
	// historyBytes bounds the average size of a request with its response in the history, in bytes.
	historyBytes = 400
)

// LoadProps are the inputs of NewLoad.
type LoadProps struct {
	awscdk.StackProps
	Vpc awsec2.IVpc
	// Subnets hold the loaders. AWS APIs and the application must be reachable from them. All loaders are in the
	// first one. The default is private subnets.
	Subnets *awsec2.SubnetSelection
	Lab     awscdk.Stack // its output URL is the target of the load
	Config  LoadConfig
	// Protect turns on termination protection.
	Protect bool
	// Program is the path of the compiled lab: see Build.
	Program string
}

// NewLoad defines a stack for load tests from many machines: a launch template of loaders, and a bucket for their results.
// Deploying it runs nothing and costs nothing. The output Start is a command that launches the loaders. They start sending
// at the same time, upload their results under the id of their reservation, and terminate themselves. The first thing that
// a loader does is to schedule its termination, in case it fails later.
//
// The loaders are not an Auto Scaling group, because that would replace a terminated loader.
func NewLoad(scope constructs.Construct, id string, props *LoadProps) awscdk.Stack {
	stackProps := props.StackProps
	stackProps.TerminationProtection = jsii.Bool(props.Protect)
	stack := awscdk.NewStack(scope, jsii.String(id), &stackProps)
	stack.AddStackDependency(props.Lab, nil)
	results := newResultsBucket(stack)
	program := awss3assets.NewAsset(stack, jsii.String("Program"), &awss3assets.AssetProps{Path: jsii.String(props.Program)})
	role := newLoaderRole(stack, program, results, *props.Lab.StackName())

	group := awsec2.NewSecurityGroup(stack, jsii.String("SecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc: props.Vpc, Description: jsii.String("Loaders"), AllowAllOutbound: jsii.Bool(false),
	})
	group.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_HTTPS(), jsii.String("the application, AWS APIs"), nil)
	group.AddEgressRule(awsec2.Peer_AnyIpv4(), awsec2.Port_HTTP(), jsii.String("the application"), nil)
	userData := awsec2.UserData_ForLinux(nil)
	userData.AddCommands(jsii.String(loaderScript(stack, program, results, props)))
	loader := awsec2.NewLaunchTemplate(stack, jsii.String("Loader"), &awsec2.LaunchTemplateProps{
		InstanceType: awsec2.NewInstanceType(jsii.String(props.Config.InstanceType)),
		MachineImage: awsec2.MachineImage_LatestAmazonLinux2023(&awsec2.AmazonLinux2023ImageSsmParameterProps{
			CpuType: awsec2.AmazonLinuxCpuType_ARM_64,
		}),
		Role: role, SecurityGroup: group, UserData: userData,
		RequireImdsv2: jsii.Bool(true), HttpPutResponseHopLimit: jsii.Number(1),
		InstanceInitiatedShutdownBehavior: awsec2.InstanceInitiatedShutdownBehavior_TERMINATE,
		BlockDevices:                      encryptedVolume(8 + historyGiB(props.Config)),
	})
	awscdk.Tags_Of(loader).Add(jsii.String("Name"), jsii.String("stateless-loader"), nil)

	selection := props.Subnets
	if selection == nil {
		selection = &awsec2.SubnetSelection{}
	}
	subnets := *props.Vpc.SelectSubnets(selection).SubnetIds
	output(stack, "Results", "The results, in a folder for each reservation", "s3://"+*results.BucketName())
	output(stack, "Start", "The command that launches the loaders and prints the id of their reservation", fmt.Sprintf("aws ec2 run-instances --region %s "+
		"--launch-template LaunchTemplateId=%s,Version=%s --subnet-id %s --count %d --query ReservationId --output text",
		*stack.Region(), *loader.LaunchTemplateId(), *loader.LatestVersionNumber(), *subnets[0], props.Config.Loaders))
	return stack
}

// historyGiB returns the space for the history of a test, in GiB: historyBytes for each request at the highest rate, and half as
// much again for the compressed copy. It is 0 without a history.
func historyGiB(c LoadConfig) int {
	if !c.History {
		return 0
	}
	return int(math.Ceil(c.highestRate() * c.Duration.Seconds() * historyBytes * 1.5 / (1 << 30)))
}

func loaderScript(stack awscdk.Stack, program awss3assets.Asset, results awss3.Bucket, props *LoadProps) string {
	return render("loader.sh", struct {
		Region, Bucket, Key, Results, LabStack string
		Config                                 LoadConfig
		StartSeconds, DeadlineMinutes          int
	}{
		*stack.Region(), *program.S3BucketName(), *program.S3ObjectKey(), *results.BucketName(), *props.Lab.StackName(),
		props.Config, int(loadStartDelay.Seconds()), int((props.Config.Duration + loaderOverhead).Minutes()),
	})
}

// newLoaderRole defines the role of the loaders. It may download the program, read the lab's outputs, upload results and
// use Session Manager.
func newLoaderRole(stack awscdk.Stack, program awss3assets.Asset, results awss3.Bucket, lab string) awsiam.Role {
	role := awsiam.NewRole(stack, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("ec2.amazonaws.com"), nil),
		Description: jsii.String("The loaders"),
	})
	role.AddToPolicy(allow([]*string{program.Bucket().ArnForObjects(program.S3ObjectKey())}, "s3:GetObject"))
	role.AddToPolicy(allow([]*string{results.ArnForObjects(jsii.String("*"))}, "s3:PutObject"))
	role.AddToPolicy(allow([]*string{stack.FormatArn(&awscdk.ArnComponents{Service: jsii.String("cloudformation"),
		Resource: jsii.String("stack"), ResourceName: jsii.String(lab + "/*")})}, "cloudformation:DescribeStacks"))
	allowSessionManager(role)
	suppress(role.Node().FindChild(jsii.String("DefaultPolicy")), "AwsSolutions-IAM5", "The names of results contain instance "+
		"ids, and the end of a stack's ARN is known only after its creation.",
		"Resource::<"+*stack.GetLogicalId(results.Node().DefaultChild().(awss3.CfnBucket))+".Arn>/*",
		"Resource::arn:<AWS::Partition>:cloudformation:<AWS::Region>:<AWS::AccountId>:stack/"+
			lab+"/*")
	return role
}

// newResultsBucket defines the bucket of the results. It outlives the stack, because CloudFormation can't delete a bucket
// that isn't empty. Results expire after 90 days.
func newResultsBucket(stack awscdk.Stack) awss3.Bucket {
	bucket := awss3.NewBucket(stack, jsii.String("ResultsBucket"), &awss3.BucketProps{
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Expiration:                          awscdk.Duration_Days(jsii.Number(90)),
			AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1)),
		}},
	})
	suppress(bucket, "AwsSolutions-S1", "It holds measurements of load tests and no data of visitors. Logging access to it would need another bucket.")
	return bucket
}
