// Package deploy tests deployments of the stacks. Its test runs the CDK's command line against an emulator of AWS, or against the
// endpoint in AWS_ENDPOINT_URL: it deploys, reads back, switches stores and destroys. "make test-deploy" runs it. Start reading at
// TestDeploy. The package has no program. It is a module of its own, so that no other package depends on the clients of the AWS SDK.
package deploy
