package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// RevocationNone is the value of Config.Revocation for no list of revoked tokens.
const RevocationNone config.StoreKind = "none"

// withRevocation defines the list of revoked tokens that the Config selects, and attaches it together with the keys of tokens.
func withRevocation(scope constructs.Construct, vpc awsec2.IVpc, subnets *awsec2.SubnetSelection, c Config, keys Attachment) Attachment {
	var list Attachment
	switch c.Revocation {
	case config.StoreDynamoDB:
		list = newRevocationTable(scope, "Revocations", c.Stage, c.Protect)
	case config.StoreValkey:
		list = NewValkeyStore(scope, "RevocationCache", &ValkeyStoreProps{Vpc: vpc, Subnets: subnets, Engine: EngineValkey(), Stage: c.Stage, Config: c.Cache})
	default:
		return keys
	}
	return func(servers *Servers) {
		list(servers)
		keys(servers) // last: it sets the store
		servers.Environment.TokenRevocation = c.Revocation
	}
}

// newRevocationTable defines the table of the list, with the keys and the index of package session/dynamodb. It is encrypted
// with the AWS managed key, and is billed by request: a revocation is two write units, and a server reads the new ones 0.6 times
// per second.
func newRevocationTable(scope constructs.Construct, id string, stage Stage, protect bool) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	production := stage == StageProduction
	attribute := func(name, kind string) any {
		return &awsdynamodb.CfnTable_AttributeDefinitionProperty{AttributeName: jsii.String(name), AttributeType: jsii.String(kind)}
	}
	schema := func(sort string) any {
		return []any{
			&awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: jsii.String("list"), KeyType: jsii.String("HASH")},
			&awsdynamodb.CfnTable_KeySchemaProperty{AttributeName: jsii.String(sort), KeyType: jsii.String("RANGE")},
		}
	}
	const index = "by-time"
	table := awsdynamodb.NewCfnTable(scope, jsii.String("Table"), &awsdynamodb.CfnTableProps{
		AttributeDefinitions: &[]any{attribute("list", "S"), attribute("id", "B"), attribute("at", "N")},
		KeySchema:            schema("id"),
		LocalSecondaryIndexes: &[]any{&awsdynamodb.CfnTable_LocalSecondaryIndexProperty{
			IndexName: jsii.String(index), KeySchema: schema("at"),
			Projection: &awsdynamodb.CfnTable_ProjectionProperty{
				ProjectionType: jsii.String("INCLUDE"), NonKeyAttributes: jsii.Strings("ttl"),
			},
		}},
		BillingMode:      jsii.String("PAY_PER_REQUEST"),
		SseSpecification: &awsdynamodb.CfnTable_SSESpecificationProperty{SseEnabled: jsii.Bool(true), SseType: jsii.String("KMS")},
		TimeToLiveSpecification: &awsdynamodb.CfnTable_TimeToLiveSpecificationProperty{
			AttributeName: jsii.String("ttl"), Enabled: jsii.Bool(true),
		},
		DeletionProtectionEnabled: jsii.Bool(protect),
		PointInTimeRecoverySpecification: &awsdynamodb.CfnTable_PointInTimeRecoverySpecificationProperty{
			PointInTimeRecoveryEnabled: jsii.Bool(production),
		},
	})
	if !production {
		suppress(table, "AwsSolutions-DDB3", "Revocations of the lab stage need no backup: they end with their tokens.")
	}
	table.ApplyRemovalPolicy(removalPolicy(stage), nil)
	return func(servers *Servers) {
		servers.Environment.DynamoDBTable = *table.Ref()
		servers.grant(scope, allow([]*string{table.AttrArn()}, "dynamodb:GetItem", "dynamodb:PutItem"),
			allow([]*string{jsii.String(*table.AttrArn() + "/index/" + index)}, "dynamodb:Query"))
		servers.monitor(tableGraphs(table.Ref()))
	}
}
