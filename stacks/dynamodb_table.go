package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const (
	// ownerIndex is the secondary index of sessions by owner, in the order in which they were created.
	ownerIndex = "owner"
	// targetUnitsPercent is the usage of provisioned units that auto scaling aims at.
	targetUnitsPercent = 70
)

// newTable defines the table, with an item for each session, and the index of the sessions that have an owner.
//
// The table is a global table even in a single region, so that replicas can be added and removed without replacing it: see
// docs/decisions/. Replication needs a stream, so the table has one from the start. Without replicas nothing reads it, and
// it costs nothing.
//
// The table is encrypted with the given key, or if it is nil with the AWS managed key aws/dynamodb. In contrast to the
// default key, which AWS owns, CloudTrail records every use of the AWS managed key. It needs no permissions and costs cents
// per month, because DynamoDB caches it.
func newTable(scope constructs.Construct, key awskms.IKey, stage Stage, protect bool,
	c DynamoDBConfig) awsdynamodb.CfnGlobalTable {
	index := &awsdynamodb.CfnGlobalTable_GlobalSecondaryIndexProperty{
		IndexName: jsii.String(ownerIndex), KeySchema: keySchema("owner", "position"),
		Projection: &awsdynamodb.CfnGlobalTable_ProjectionProperty{ProjectionType: jsii.String("KEYS_ONLY")},
	}
	table := &awsdynamodb.CfnGlobalTableProps{
		AttributeDefinitions: &[]any{attributeOf("id", "S"), attributeOf("owner", "S"), attributeOf("position", "N")},
		KeySchema:            keySchema("id"),
		BillingMode:          jsii.String("PAY_PER_REQUEST"),
		SseSpecification: &awsdynamodb.CfnGlobalTable_SSESpecificationProperty{
			SseEnabled: jsii.Bool(true), SseType: jsii.String("KMS"),
		},
		StreamSpecification: &awsdynamodb.CfnGlobalTable_StreamSpecificationProperty{
			StreamViewType: jsii.String("NEW_AND_OLD_IMAGES"), // replication needs both images
		},
		TimeToLiveSpecification: &awsdynamodb.CfnGlobalTable_TimeToLiveSpecificationProperty{
			AttributeName: jsii.String("ttl"), Enabled: jsii.Bool(true),
		},
		GlobalSecondaryIndexes: &[]any{index},
	}
	if c.Billing == BillingProvisioned {
		table.BillingMode = jsii.String("PROVISIONED")
		writes := &awsdynamodb.CfnGlobalTable_WriteProvisionedThroughputSettingsProperty{
			WriteCapacityAutoScalingSettings: scaledUnits(c)}
		table.WriteProvisionedThroughputSettings, index.WriteProvisionedThroughputSettings = writes, writes
	}
	if c.Billing == BillingOnDemand {
		writes := &awsdynamodb.CfnGlobalTable_WriteOnDemandThroughputSettingsProperty{
			MaxWriteRequestUnits: jsii.Number(c.MaxWrites)}
		table.WriteOnDemandThroughputSettings, index.WriteOnDemandThroughputSettings = writes, writes
	}
	replicas := []any{replica(awscdk.Aws_REGION(), key, stage, protect, c)}
	for _, region := range c.replicas() {
		replicas = append(replicas, replica(jsii.String(region), nil, stage, protect, c))
	}
	table.Replicas = &replicas
	resource := awsdynamodb.NewCfnGlobalTable(scope, jsii.String("Table"), table)
	resource.ApplyRemovalPolicy(removalPolicy(stage), nil)
	return resource
}

// replica returns the settings of the table in one region.
func replica(region *string, key awskms.IKey, stage Stage, protect bool, c DynamoDBConfig) any {
	r := &awsdynamodb.CfnGlobalTable_ReplicaSpecificationProperty{
		Region:                    region,
		DeletionProtectionEnabled: jsii.Bool(protect),
		PointInTimeRecoverySpecification: &awsdynamodb.CfnGlobalTable_PointInTimeRecoverySpecificationProperty{
			PointInTimeRecoveryEnabled: jsii.Bool(stage == StageProduction),
		},
	}
	if key != nil {
		r.SseSpecification = &awsdynamodb.CfnGlobalTable_ReplicaSSESpecificationProperty{KmsMasterKeyId: key.KeyArn()}
	}
	if c.Billing == BillingProvisioned {
		reads := &awsdynamodb.CfnGlobalTable_ReadProvisionedThroughputSettingsProperty{
			ReadCapacityAutoScalingSettings: scaledUnits(c)}
		r.ReadProvisionedThroughputSettings = reads
		r.GlobalSecondaryIndexes = &[]any{&awsdynamodb.CfnGlobalTable_ReplicaGlobalSecondaryIndexSpecificationProperty{
			IndexName: jsii.String(ownerIndex), ReadProvisionedThroughputSettings: reads,
		}}
	}
	if c.Billing == BillingOnDemand {
		reads := &awsdynamodb.CfnGlobalTable_ReadOnDemandThroughputSettingsProperty{MaxReadRequestUnits: jsii.Number(c.MaxReads)}
		r.ReadOnDemandThroughputSettings = reads
		r.GlobalSecondaryIndexes = &[]any{&awsdynamodb.CfnGlobalTable_ReplicaGlobalSecondaryIndexSpecificationProperty{
			IndexName: jsii.String(ownerIndex), ReadOnDemandThroughputSettings: reads,
		}}
	}
	return r
}

// scaledUnits returns auto scaling settings that keep the usage of the provisioned units at targetUnitsPercent.
func scaledUnits(c DynamoDBConfig) any {
	return &awsdynamodb.CfnGlobalTable_CapacityAutoScalingSettingsProperty{
		MinCapacity: jsii.Number(c.MinUnits), MaxCapacity: jsii.Number(c.MaxUnits), SeedCapacity: jsii.Number(c.MinUnits),
		TargetTrackingScalingPolicyConfiguration: &awsdynamodb.CfnGlobalTable_TargetTrackingScalingPolicyConfigurationProperty{
			TargetValue: jsii.Number(targetUnitsPercent),
		},
	}
}

func attributeOf(name, kind string) any {
	return &awsdynamodb.CfnGlobalTable_AttributeDefinitionProperty{
		AttributeName: jsii.String(name), AttributeType: jsii.String(kind),
	}
}

// keySchema returns the schema of a partition key and an optional sort key.
func keySchema(names ...string) any {
	var schema []any
	for i, name := range names {
		schema = append(schema, &awsdynamodb.CfnGlobalTable_KeySchemaProperty{
			AttributeName: jsii.String(name), KeyType: jsii.String([]string{"HASH", "RANGE"}[i]),
		})
	}
	return &schema
}
