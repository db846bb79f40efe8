package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

const (
	// serverName names the binary, the systemd unit and the folder of the environment file.
	serverName = "stateless-server"
	// certificatesFile is where a server finds the authorities that it trusts besides the system's.
	certificatesFile = "/etc/" + serverName + "/authorities.pem"
)

// An Environment has what a server reads: its Config, and what its boot fetches from elsewhere. Values may be CDK tokens.
type Environment struct {
	config.Config
	// KeysSecret is the ARN of the secret that SessionKeys come from; empty if there are none.
	KeysSecret string
	// Certificates are the authorities that certificatesFile gets, in PEM; empty means no such file.
	Certificates string
	// LogGroup and Namespace are where logs and metrics go.
	LogGroup, Namespace string
}

// An Attachment attaches one part of the lab to the servers that use it: a session store, a login, a log. It writes into
// their environment how to reach the part, lets them use it with the fewest permissions, and adds its graphs and alarms.
type Attachment func(*Servers)

// Servers collects what the servers of the fleet need of the parts that attach to them.
type Servers struct {
	Role        awsiam.IRole
	Connections awsec2.IConnectable
	Environment Environment
	// Needs must be there before a server boots.
	Needs []constructs.IDependable
	// Graphs are the parts' share of the dashboard, four a row.
	Graphs []awscloudwatch.IWidget
	// Alarms are the metrics that somebody should hear about, and when.
	Alarms []Alarm
}

// allow gives the servers access to the part that scope is, by a policy of the part's own: when one store replaces another,
// CloudFormation adds the new policy before it rolls the fleet and takes the old one away after. In the role's policy it
// would take the old statements away at once, from servers that still serve.
func (s *Servers) allow(scope constructs.Construct, statements ...awsiam.PolicyStatement) {
	s.Needs = append(s.Needs, awsiam.NewPolicy(scope, jsii.String("Access"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{s.Role}, Statements: &statements,
	}))
}

// show adds graphs and alarms.
func (s *Servers) show(graphs []awscloudwatch.IWidget, alarms []Alarm) {
	s.Graphs, s.Alarms = append(s.Graphs, graphs...), append(s.Alarms, alarms...)
}
