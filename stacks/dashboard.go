package stacks

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// heartbeatMinutes is the period in which the alarm on silent servers counts their reports. It starts after three periods.
const heartbeatMinutes = 5

// DashboardProps are the inputs of NewDashboard.
type DashboardProps struct {
	Balancer Balancer
	Fleet    Fleet
	// AlarmEmail is the address that gets a message when an alarm changes its state. Empty means none.
	AlarmEmail string
}

// NewDashboard defines the alarms and the dashboard of the load balancer, the fleet and its attachments. The dashboard
// shows the alarms, and AlarmEmail gets their messages.
func NewDashboard(scope constructs.Construct, id string, props *DashboardProps) awscloudwatch.Dashboard {
	balancer, targets := props.Balancer.LoadBalancer.Metrics(), props.Balancer.TargetGroup.Metrics()
	latency := func(statistic string) awscloudwatch.IMetric {
		return targets.TargetResponseTime(&awscloudwatch.MetricOptions{
			Statistic: jsii.String(statistic), Label: jsii.String(statistic), Period: minute(),
		})
	}
	requests := sum(balancer.RequestCount, "requests")
	refused := balancer.HttpCodeElb(elb.HttpCodeElb_ELB_5XX_COUNT, perMinute("of the load balancer"))
	failed := targets.HttpCodeTarget(elb.HttpCodeTarget_TARGET_5XX_COUNT, perMinute("of servers"))
	unhealthy := targets.UnhealthyHostCount(&awscloudwatch.MetricOptions{
		Statistic: jsii.String("Maximum"), Label: jsii.String("unhealthy"), Period: minute(),
	})
	healthy := targets.HealthyHostCount(&awscloudwatch.MetricOptions{
		Statistic: jsii.String("Minimum"), Label: jsii.String("healthy"), Period: minute(),
	})
	cpu := metric("AWS/EC2", "CPUUtilization", "Average", "CPU",
		map[string]*string{"AutoScalingGroupName": props.Fleet.Group.AutoScalingGroupName()})

	alarms := append([]Alarm{
		// A count instead of a percentage: RequestCount omits requests that no server got.
		{"RefusedRequests", "The load balancer responds with 5xx because no server took the request.", refused, 1, 3},
		{"ServerErrors", "At least 1 % of the requests fail in a server.", percentage(failed, requests), 1, 3},
		{"UnhealthyServers", "A server fails its health checks and will be replaced.", unhealthy, 1, 3},
		{"SlowResponses", "The p99 latency is a second or more.", latency("p99"), 1, 5},
	}, props.Fleet.Alarms...)
	silent := silentServers(props.Fleet.Environment.Namespace, targets.HealthyHostCount)
	dashboard := awscloudwatch.NewDashboard(scope, jsii.String(id), &awscloudwatch.DashboardProps{
		DefaultInterval: awscdk.Duration_Hours(jsii.Number(3)),
	})
	dashboard.AddWidgets(awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{
		Title: jsii.String("Alarms"), Alarms: newAlarms(scope, alarms, []Alarm{silent}, props.AlarmEmail), Width: jsii.Number(24),
	}))
	servers := graph("Servers, and their CPU (%)", healthy, unhealthy)
	servers.AddRightMetric(cpu)
	dashboard.AddWidgets(
		graph("Requests a minute", requests),
		graph("Latency (s)", latency("p50"), latency("p90"), latency("p99")),
		graph("5xx a minute", refused, failed),
		servers,
	)
	dashboard.AddWidgets(props.Fleet.Graphs...)
	return dashboard
}

// silentServers returns the alarm on servers that serve without sending metrics and logs. Each server sends every counter once a
// minute, and also zeros. Each metric covers five minutes, because a server's minutes begin at other times than CloudWatch's.
func silentServers(namespace string, healthyHosts func(*awscloudwatch.MetricOptions) awscloudwatch.Metric) Alarm {
	period := awscdk.Duration_Minutes(jsii.Number(heartbeatMinutes))
	healthy := healthyHosts(&awscloudwatch.MetricOptions{Statistic: jsii.String("Average"), Period: period})
	reports := awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(config.MetricOperations), Statistic: jsii.String("SampleCount"),
		DimensionsMap: &map[string]*string{"service": jsii.String(serverName)}, Period: period,
	})
	return Alarm{"SilentServers", "A server sends neither logs nor metrics: its CloudWatch agent is missing or broken.",
		awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression:   jsii.String(fmt.Sprintf("healthy - FILL(reports, 0) / %d", heartbeatMinutes)),
			UsingMetrics: &map[string]awscloudwatch.IMetric{"healthy": healthy, "reports": reports},
			Label:        jsii.String("silent servers"), Period: period,
		}), 0.9, 3}
}

// newAlarms defines the alarms. Missing data means that all is well, except for the heartbeats, whose alarms missing data starts.
func newAlarms(scope constructs.Construct, alarms, heartbeats []Alarm, email string) *[]interfacesawscloudwatch.IAlarmRef {
	var refs []interfacesawscloudwatch.IAlarmRef
	notify := func(awscloudwatch.Alarm) {}
	if email != "" {
		action := awscloudwatchactions.NewSnsAction(newAlarmTopic(scope, email))
		notify = func(a awscloudwatch.Alarm) { a.AddAlarmAction(action); a.AddOkAction(action) }
	}
	for i, a := range append(slices.Clone(alarms), heartbeats...) {
		missing := awscloudwatch.TreatMissingData_NOT_BREACHING // a fleet without requests is fine
		if i >= len(alarms) {
			missing = awscloudwatch.TreatMissingData_BREACHING
		}
		alarm := awscloudwatch.NewAlarm(scope, jsii.String(a.ID), &awscloudwatch.AlarmProps{
			AlarmDescription:   jsii.String(a.Description),
			Metric:             a.Metric,
			Threshold:          jsii.Number(a.Threshold),
			EvaluationPeriods:  jsii.Number(a.Minutes),
			ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
			TreatMissingData:   missing,
		})
		notify(alarm)
		refs = append(refs, alarm)
	}
	return &refs
}

func newAlarmTopic(scope constructs.Construct, email string) awssns.Topic {
	topic := awssns.NewTopic(scope, jsii.String("AlarmTopic"), &awssns.TopicProps{
		DisplayName: jsii.String("Stateless servers"), EnforceSSL: jsii.Bool(true),
	})
	topic.AddSubscription(awssnssubscriptions.NewEmailSubscription(jsii.String(email), nil))
	// EnforceSSL defines a topic policy, which replaces the default policy that lets the account's services publish.
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sns:Publish"), Resources: &[]*string{topic.TopicArn()},
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()}},
	}))
	suppress(topic, "AwsSolutions-SNS2", "Messages only name the alarm, and are sent by e-mail. CloudWatch can't use the "+
		"AWS managed key, and a customer managed key would cost more than all alarms.")
	return topic
}
