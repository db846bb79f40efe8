package stacks

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

var (
	policyPattern   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]{1,512}$`)
	tagKeyPattern   = regexp.MustCompile(`^[A-Za-z0-9 _.:/+@-]{1,128}$`)
	tagValuePattern = regexp.MustCompile(`^[A-Za-z0-9 _.:/+@-]{0,256}$`)
)

// isTag reports whether the text is a tag key=value. The stacks set the tag Name themselves, and AWS those with aws:.
func isTag(text string) bool {
	key, value, found := strings.Cut(text, "=")
	return found && tagKeyPattern.MatchString(key) && tagValuePattern.MatchString(value) && key != "Name" &&
		!strings.HasPrefix(strings.ToLower(key), "aws:")
}

// tags returns the tags by key.
func (c Config) tags() map[string]string {
	tags := map[string]string{}
	for _, tag := range fields(c.Tags) {
		key, value, _ := strings.Cut(tag, "=")
		tags[key] = value
	}
	return tags
}

// duplicateTags reports whether a key has two values.
func (c Config) duplicateTags() bool { return len(c.tags()) < len(fields(c.Tags)) }

// govern applies the permissions boundary and the tags of the Config to all stacks.
func (c Config) govern(app awscdk.App, stacks ...awscdk.Stack) {
	tags := c.tags()
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		awscdk.Tags_Of(app).Add(jsii.String(key), jsii.String(tags[key]), nil)
	}
	for _, stack := range stacks {
		if len(tags) > 0 {
			c.tagReplicas(stack)
		}
		if c.PermissionsBoundary != "" {
			awsiam.PermissionsBoundary_Of(stack).Apply(awsiam.ManagedPolicy_FromManagedPolicyArn(stack,
				jsii.String("PermissionsBoundary"), jsii.String(c.PermissionsBoundary)))
		}
	}
}

// tagReplicas tags the replicas of a global table. The CDK doesn't, because the table itself has no tags.
func (c Config) tagReplicas(stack awscdk.Stack) {
	var list []any
	tags := c.tags()
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, map[string]any{"Key": key, "Value": tags[key]})
	}
	for _, child := range *stack.Node().FindAll(constructs.ConstructOrder_PREORDER) {
		table, ok := child.(awscdk.CfnResource)
		if !ok || *table.CfnResourceType() != "AWS::DynamoDB::GlobalTable" {
			continue
		}
		for i := range 1 + len(c.DynamoDB.replicas()) {
			table.AddPropertyOverride(jsii.String(fmt.Sprintf("Replicas.%d.Tags", i)), list)
		}
	}
}
