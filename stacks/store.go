package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// A SessionStore is the infrastructure of a place where sessions live.
type SessionStore interface {
	// Configure writes into the server's environment how to reach the store. Values may be CDK tokens.
	Configure(server *config.Config)
	// Admit lets servers use the store: their role gets the fewest permissions, and the network lets them through.
	Admit(role awsiam.IGrantable, servers awsec2.IConnectable)
	// Graphs are the store's part of the dashboard, one row.
	Graphs() []awscloudwatch.IWidget
	// Alarms are the metrics that somebody should hear about, and when.
	Alarms() []Alarm
}

// NewSessionStore defines the store that the Config names.
func NewSessionStore(scope constructs.Construct, vpc awsec2.IVpc, c Config) SessionStore {
	switch c.Store {
	case config.StoreDynamoDB:
		return NewDynamoDBStore(scope, "Sessions", &DynamoDBStoreProps{Stage: c.Stage})
	case config.StoreValkey:
		return NewValkeyStore(scope, "Cache", &ValkeyStoreProps{Vpc: vpc, Stage: c.Stage})
	}
	panic(fmt.Sprintf("stacks: store %q has no construct", c.Store))
}

// grant allows actions on resources, and nothing that a construct library would add out of kindness.
func grant(to awsiam.IGrantable, resources []*string, actions ...string) {
	awsiam.Grant_AddToPrincipal(&awsiam.GrantOnPrincipalOptions{
		Grantee: to, Actions: jsii.Strings(actions...), ResourceArns: &resources,
	})
}
