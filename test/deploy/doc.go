// Package deploy has no program: its test drives the CDK's command line through the life of a lab, against an emulator
// of AWS or whatever endpoint AWS_ENDPOINT_URL names. "make test-deploy" runs it. It is a module of its own, so that
// the AWS SDK's clients that it reads back with are nobody else's.
package deploy
