package stacks

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// DynamoDBStoreProps are the inputs of NewDynamoDBStore.
type DynamoDBStoreProps struct {
	Vpc awsec2.IVpc
	// Stage turns on point-in-time recovery and deletion protection in production, and keeps the table when the stack or
	// the store goes.
	Stage  Stage
	Config DynamoDBConfig
}

// NewDynamoDBStore defines an Amazon DynamoDB table, or finds the replica of another region's, and what is in front of it.
func NewDynamoDBStore(scope constructs.Construct, id string, props *DynamoDBStoreProps) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	c := props.Config
	if c.ReplicaTable != "" {
		name := jsii.String(c.ReplicaTable)
		arn := awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("dynamodb"), Resource: jsii.String("table"), ResourceName: name,
		})
		return attachTable(scope, name, arn, true)
	}
	var key awskms.IKey
	var use []awsiam.PolicyStatement
	if c.CustomerKey {
		key = awskms.NewKey(scope, jsii.String("Key"), &awskms.KeyProps{
			Description: jsii.String("Sessions of stateless servers"), EnableKeyRotation: jsii.Bool(true),
			RemovalPolicy: removalPolicy(props.Stage),
		})
		use = append(use, useKey(key))
	}
	table := newTable(scope, key, props.Stage, c)
	if c.Replicas != "" {
		output(awscdk.Stack_Of(scope), "Table", "The session table, for replicaTable in the other regions", *table.Ref())
	}
	store := attachTable(scope, table.Ref(), table.AttrArn(), c.replicated(), use...)
	if !c.DAX {
		return store
	}
	dax := newDAX(scope, props.Vpc, c, append(use, allow([]*string{table.AttrArn()}, "dynamodb:DescribeTable",
		"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"))...)
	return func(servers *Servers) {
		store(servers)
		dax(servers)
	}
}

// attachTable lets servers act on items and query by owner, and whatever more says. Transactions need the actions of their
// items. No scan, no batch of writes, no stream. With DAX these permissions stay, because servers that were there before it
// use them until they are gone.
func attachTable(scope constructs.Construct, name, arn *string, replicated bool, more ...awsiam.PolicyStatement) Attachment {
	return func(servers *Servers) {
		servers.Environment.Store = config.StoreDynamoDB
		servers.Environment.DynamoDBTable = *name
		servers.Environment.DynamoDBReplicated = replicated
		servers.allow(scope, append([]awsiam.PolicyStatement{
			allow([]*string{arn}, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
				"dynamodb:DeleteItem"),
			allow([]*string{jsii.String(*arn + "/index/" + ownerIndex)}, "dynamodb:Query"),
		}, more...)...)
		servers.show(tableGraphs(name))
	}
}

// useKey is what DynamoDB does with the key in the name of who reads and writes; by way of DynamoDB only.
func useKey(key awskms.IKey) awsiam.PolicyStatement {
	use := allow([]*string{key.KeyArn()}, "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
		"kms:ReEncryptFrom", "kms:ReEncryptTo")
	use.AddCondition(jsii.String("StringEquals"), map[string]any{
		"kms:ViaService": "dynamodb." + *awscdk.Aws_REGION() + "." + *awscdk.Aws_URL_SUFFIX(),
	})
	return use
}

func tableGraphs(name *string) ([]awscloudwatch.IWidget, []Alarm) {
	of := func(metricName, statistic, label string) awscloudwatch.IMetric {
		return metric("AWS/DynamoDB", metricName, statistic, label, map[string]*string{"TableName": name})
	}
	ofOperation := func(metricName, statistic, label, operation string) awscloudwatch.IMetric {
		return metric("AWS/DynamoDB", metricName, statistic, label,
			map[string]*string{"TableName": name, "Operation": jsii.String(operation)})
	}
	latency := func(operation string) awscloudwatch.IMetric {
		return ofOperation("SuccessfulRequestLatency", "p99", operation+" p99", operation)
	}
	// DynamoDB keeps these by operation, and CloudWatch charges alarms for each. BatchGetItem is left out, which the servers
	// call after a Query alone.
	sumOf := func(metricName, label string) awscloudwatch.IMetric {
		operations := map[string]awscloudwatch.IMetric{}
		for _, operation := range []string{"GetItem", "PutItem", "UpdateItem", "TransactWriteItems", "Query"} {
			operations[strings.ToLower(operation)] = ofOperation(metricName, "Sum", operation, operation)
		}
		return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String("SUM(METRICS())"), UsingMetrics: &operations, Label: jsii.String(label), Period: minute(),
		})
	}
	throttled, failed := sumOf("ThrottledRequests", "throttled"), sumOf("SystemErrors", "errors")
	return []awscloudwatch.IWidget{
			graph("DynamoDB: capacity units", of("ConsumedReadCapacityUnits", "Sum", "reads"),
				of("ConsumedWriteCapacityUnits", "Sum", "writes")),
			graph("DynamoDB: latency (ms)", latency("GetItem"), latency("PutItem"), latency("UpdateItem"),
				latency("TransactWriteItems"), latency("Query"), latency("BatchGetItem")),
			graph("DynamoDB: throttled", throttled),
			graph("DynamoDB: errors", failed),
		}, []Alarm{
			{"StoreThrottled", "DynamoDB throttles requests of the session table: visitors get 503.", throttled, 1, 3},
			{"StoreErrors", "DynamoDB fails requests of the session table: visitors get 503.", failed, 1, 3},
		}
}
