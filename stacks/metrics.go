package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"
)

// An Alarm notifies an operator when a metric reaches a threshold.
type Alarm struct {
	ID          string
	Description string // the problem, and its effect on visitors
	Metric      awscloudwatch.IMetric
	Threshold   float64 // the alarm starts at this value or above
	Minutes     float64 // for how many consecutive periods of the metric, which are minutes
}

func percentage(part, whole awscloudwatch.IMetric) awscloudwatch.IMetric {
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression:   jsii.String("100 * part / whole"),
		UsingMetrics: &map[string]awscloudwatch.IMetric{"part": part, "whole": whole}, Period: minute(),
	})
}

// graph returns a widget of a quarter of the dashboard's width, with the metrics on its left axis.
func graph(title string, metrics ...awscloudwatch.IMetric) awscloudwatch.GraphWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title: jsii.String(title), Left: &metrics, Width: jsii.Number(6),
	})
}

// metric returns a metric with a period of a minute.
func metric(namespace, name, statistic, label string, dimensions map[string]*string) awscloudwatch.IMetric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), DimensionsMap: &dimensions,
		Statistic: jsii.String(statistic), Label: jsii.String(label), Period: minute(),
	})
}

// sum returns a metric of the number of events per minute.
func sum(metric func(*awscloudwatch.MetricOptions) awscloudwatch.Metric, label string) awscloudwatch.IMetric {
	return metric(perMinute(label))
}

func perMinute(label string) *awscloudwatch.MetricOptions {
	return &awscloudwatch.MetricOptions{Statistic: jsii.String("Sum"), Label: jsii.String(label), Period: minute()}
}

func minute() awscdk.Duration { return awscdk.Duration_Minutes(jsii.Number(1)) }

// maxOf returns the maximum of several metrics.
func maxOf(label string, metrics []awscloudwatch.IMetric) awscloudwatch.IMetric {
	named := map[string]awscloudwatch.IMetric{}
	for i, m := range metrics {
		named[fmt.Sprintf("node%d", i+1)] = m
	}
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String("MAX(METRICS())"), UsingMetrics: &named, Label: jsii.String(label), Period: minute(),
	})
}
