package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// newTelemetry defines the log group of the servers, in production with a customer managed key (1 USD per month). The
// servers write their metrics to it in CloudWatch's embedded metric format, so they need no other permission. Group and key
// outlive the stack, even one whose creation failed: the log then says why. It has no name of its own, so the next stack
// creates another group beside it.
func newTelemetry(scope constructs.Construct, stage Stage) Attachment {
	props := &awslogs.LogGroupProps{Retention: logRetention(stage), RemovalPolicy: awscdk.RemovalPolicy_RETAIN}
	stack := awscdk.Stack_Of(scope)
	if stage == StageProduction {
		key := awskms.NewKey(scope, jsii.String("LogKey"), &awskms.KeyProps{
			Description: jsii.String("The log of the web servers"), EnableKeyRotation: jsii.Bool(true),
			RemovalPolicy: awscdk.RemovalPolicy_RETAIN, // without the key nobody could read the log
		})
		key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Principals: &[]awsiam.IPrincipal{
				awsiam.NewServicePrincipal(jsii.String("logs."+*stack.Region()+".amazonaws.com"), nil),
			},
			Actions:   jsii.Strings("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"),
			Resources: jsii.Strings("*"), // this key
			Conditions: &map[string]any{"ArnLike": map[string]any{"kms:EncryptionContext:aws:logs:arn": "arn:" +
				*stack.Partition() + ":logs:" + *stack.Region() + ":" + *stack.Account() + ":log-group:*"}},
		}), nil)
		props.EncryptionKey = key
	}
	log, namespace := awslogs.NewLogGroup(scope, jsii.String("Log"), props), *stack.StackName()
	return func(servers *Servers) {
		servers.Environment.LogGroup, servers.Environment.Namespace = *log.LogGroupName(), namespace
		servers.Role.AddToPrincipalPolicy(allow([]*string{log.LogGroupArn()},
			"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"))
		servers.monitor(sessionGraphs(namespace))
	}
}

// sessionGraphs returns a row of graphs of the session metrics, which are the same for every store, and an alarm.
func sessionGraphs(namespace string) ([]awscloudwatch.IWidget, []Alarm) {
	// counter returns one of config.Metrics, summed over all servers per minute.
	counter := func(name, label string) awscloudwatch.IMetric {
		return metric(namespace, name, "Sum", label, map[string]*string{"service": jsii.String(serverName)})
	}
	operations, unanswered := counter(config.MetricOperations, "operations"), counter(config.MetricUnavailable, "errors")
	mean := awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String("1000 * seconds / operations"), Label: jsii.String("mean (ms)"), Period: minute(),
		UsingMetrics: &map[string]awscloudwatch.IMetric{
			"seconds": counter(config.MetricBusySeconds, "seconds"), "operations": operations,
		},
	})
	latency := graph("Sessions: latency (ms), and slower than "+config.SlowOperation.String()+" (%)", mean)
	latency.AddRightMetric(percentage(counter(config.MetricSlow, "slow"), operations))
	return []awscloudwatch.IWidget{
			graph("Sessions: operations a minute", operations),
			latency,
			graph("Sessions: missing, and writes tried again", counter(config.MetricMissing, "missing"),
				counter(config.MetricConflicts, "conflicts")),
			graph("Sessions: not answered", unanswered),
		}, []Alarm{{"UnansweredOperations", "Session store operations fail: visitors get 503.",
			unanswered, 1, 3}}
}
