package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A deployment is the deployed stack, as CloudFormation describes it.
type deployment struct {
	account
	store     string
	resources []types.StackResource
}

func (a account) deployment(ctx context.Context, store string) (deployment, error) {
	response, err := a.cloudformation.DescribeStackResources(ctx,
		&cloudformation.DescribeStackResourcesInput{StackName: aws.String(a.stackName("Lab"))})
	if err != nil {
		return deployment{}, err
	}
	return deployment{a, store, response.StackResources}, nil
}

// id returns the one resource of a type whose logical id begins with prefix.
func (l deployment) id(kind, prefix string) (string, error) {
	var found []string
	for _, r := range l.resources {
		if aws.ToString(r.ResourceType) == kind && strings.HasPrefix(aws.ToString(r.LogicalResourceId), prefix) {
			found = append(found, aws.ToString(r.PhysicalResourceId))
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d resources of type %s, want one", len(found), kind)
	}
	return found[0], nil
}

// events returns the events of the stack after the event with that id, or all events if it is empty, in
// order.
func (a account) events(ctx context.Context, after string) ([]types.StackEvent, error) {
	var events []types.StackEvent
	pages := cloudformation.NewDescribeStackEventsPaginator(a.cloudformation,
		&cloudformation.DescribeStackEventsInput{StackName: aws.String(a.stackName("Lab"))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, event := range page.StackEvents { // the newest first
			if aws.ToString(event.EventId) == after {
				slices.Reverse(events)
				return events, nil
			}
			events = append(events, event)
		}
	}
	slices.Reverse(events)
	return events, nil
}

// switchedInOrder returns an error unless an update created the new store before it replaced servers, and removed the old one after.
func switchedInOrder(events []types.StackEvent) error {
	const launchTemplate, group = "AWS::EC2::LaunchTemplate", "AWS::AutoScaling::AutoScalingGroup"
	rolls, rolled := -1, -1 // the indexes of the events that begin and end the rolling update
	for i, event := range events {
		switch kind := aws.ToString(event.ResourceType); {
		case kind == launchTemplate && event.ResourceStatus == types.ResourceStatusUpdateInProgress && rolls < 0:
			rolls = i
		case kind == group && event.ResourceStatus == types.ResourceStatusUpdateComplete:
			rolled = i
		}
	}
	if rolls < 0 || rolled < rolls {
		return errors.New("the servers were not replaced")
	}
	for i, event := range events {
		what := fmt.Sprintf("%s (%s)", aws.ToString(event.LogicalResourceId), aws.ToString(event.ResourceType))
		switch {
		case !isStore(aws.ToString(event.ResourceType)):
		case event.ResourceStatus == types.ResourceStatusCreateComplete && i > rolls:
			return fmt.Errorf("%s was created after the servers that need it", what)
		case event.ResourceStatus == types.ResourceStatusDeleteInProgress && i < rolled:
			return fmt.Errorf("%s was deleted before the servers that need it were replaced", what)
		}
	}
	return nil
}

func isStore(kind string) bool {
	return slices.ContainsFunc([]string{"AWS::DynamoDB::", "AWS::ElastiCache::", "AWS::RDS::", "AWS::DAX::",
		"AWS::SecretsManager::Secret"}, func(prefix string) bool { return strings.HasPrefix(kind, prefix) })
}

// A template is a CloudFormation template to change.
type template map[string]any

func parseTemplate(text []byte) (template, error) {
	var t template
	err := json.Unmarshal(text, &t)
	return t, err
}

// of returns the properties of all resources of a type whose logical id has the prefix.
func (t template) of(kind, prefix string) []map[string]any {
	var found []map[string]any
	for name, r := range t["Resources"].(map[string]any) {
		if r := r.(map[string]any); r["Type"] == kind && strings.HasPrefix(name, prefix) {
			found = append(found, r["Properties"].(map[string]any))
		}
	}
	return found
}

// apply updates the stack to a template, which it uploads to the bucket from bootstrap.
func (a account) apply(ctx context.Context, number string, t template) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	bucket := "cdk-hnb659fds-assets-" + number + "-" + a.config.Region
	_, err = a.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("twin.json"),
		Body: strings.NewReader(string(text))})
	if err != nil {
		return err
	}
	_, err = a.cloudformation.UpdateStack(ctx, &cloudformation.UpdateStackInput{
		StackName:    aws.String(a.stackName("Lab")),
		TemplateURL:  aws.String(aws.ToString(a.config.BaseEndpoint) + "/" + bucket + "/twin.json"),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	})
	if err != nil {
		return err
	}
	quickly := func(o *cloudformation.StackUpdateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = 200*time.Millisecond, time.Second
	}
	waiter := cloudformation.NewStackUpdateCompleteWaiter(a.cloudformation, quickly)
	return waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(a.stackName("Lab"))}, 5*time.Minute)
}
