package stacks

import (
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"stateless-servers/session/sessiontest"
)

// TestNag checks every variant with the AWS Solutions rules of cdk-nag. The templates contain the suppressed rules and the
// reasons: see suppress.
func TestNag(t *testing.T) {
	sessiontest.Long(t)
	rule := assertions.Match_StringLikeRegexp(jsii.String("(AwsSolutions|CdkNag).*"))
	for name, keys := range variants {
		t.Run(name, func(t *testing.T) {
			app := defineConfig(t, readConfig(t, keys),
				map[string]any{"@aws-cdk/core:annotationsInValidationReport": false}) // this test reports the findings
			awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
			for _, stack := range stacksOf(app) {
				annotations := assertions.Annotations_FromStack(stack)
				expect(t, func() {
					annotations.HasNoError(jsii.String("*"), rule)
					annotations.HasNoWarning(jsii.String("*"), rule)
				})
			}
		})
	}
}
