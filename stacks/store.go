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
	// Admit lets servers use the store, with the fewest permissions, and returns what a server must wait for. The
	// permissions are a policy of the store's own: when one store replaces another, CloudFormation adds the new policy
	// before it rolls the fleet and takes the old one away after. In the role's policy it would take them away at once,
	// from servers that still serve.
	Admit(role awsiam.IRole, servers awsec2.IConnectable) constructs.IDependable
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

// allow is a statement of just these actions on just these resources.
func allow(resources []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings(actions...), Resources: &resources,
	})
}

// newStorePolicy gives the role access to the store that scope is.
func newStorePolicy(scope constructs.Construct, role awsiam.IRole, statements ...awsiam.PolicyStatement) awsiam.Policy {
	return awsiam.NewPolicy(scope, jsii.String("Access"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{role}, Statements: &statements,
	})
}
