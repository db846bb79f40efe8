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
	// certificatesFile is the path of the certificate authorities that a server trusts in addition to the system's.
	certificatesFile = "/etc/" + serverName + "/authorities.pem"
)

// An Environment is the configuration of a server: its Config, and the values that its boot script fetches. Values may be
// CDK tokens.
type Environment struct {
	config.Config
	// KeysSecretARN is the ARN of the secret that the boot script reads SessionKeys from. Empty means no keys.
	KeysSecretARN string
	// Certificates holds certificate authorities in PEM, which the boot script writes to certificatesFile. Empty means no
	// such file.
	Certificates string
	// LogGroup is the CloudWatch log group of the servers, and Namespace the namespace of their metrics.
	LogGroup, Namespace string
}

// An Attachment connects one part of the lab, such as a session store, a login or a log, to the servers that use it. It
// adds the part's address to their environment, grants them the least permissions, and adds the part's graphs and alarms.
type Attachment func(*Servers)

// Servers collects what the attachments add to the servers of the fleet.
type Servers struct {
	Role        awsiam.IRole
	Connections awsec2.IConnectable
	Environment Environment
	// Dependencies must exist before a server boots.
	Dependencies []constructs.IDependable
	// Graphs are the attachments' graphs on the dashboard, four in a row.
	Graphs []awscloudwatch.IWidget
	// Alarms are the attachments' alarms.
	Alarms []Alarm
}

// grant gives the servers permissions by a policy in scope, which is the construct of the attached part. A separate policy
// lets a deployment replace one store by another: CloudFormation creates the new policy before it replaces the servers, and
// deletes the old one afterwards. Statements in the role's own policy would disappear while old servers still use them.
func (s *Servers) grant(scope constructs.Construct, statements ...awsiam.PolicyStatement) {
	s.Dependencies = append(s.Dependencies, awsiam.NewPolicy(scope, jsii.String("Access"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{s.Role}, Statements: &statements,
	}))
}

// monitor adds graphs and alarms.
func (s *Servers) monitor(graphs []awscloudwatch.IWidget, alarms []Alarm) {
	s.Graphs, s.Alarms = append(s.Graphs, graphs...), append(s.Alarms, alarms...)
}
