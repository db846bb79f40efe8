package stacks

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// Guardrails fail a synthesis whose templates break a promise, whoever changed what: with an aspect, an escape hatch or
// in this package.
type Guardrails struct {
	Store config.StoreKind
}

var _ awscdk.IPolicyValidationPlugin = (*Guardrails)(nil)

// A guardrail is a rule for every resource of a template. It says where the resource breaks it, or "".
type guardrail struct {
	id, description, fix string
	breaks               func(id string, r cfnResource, t cfnTemplate, store config.StoreKind) (where string)
}

func guardrails() []guardrail {
	return []guardrail{
		{"any-server-any-request", "A load balancer keeps visitors on one server, though servers share the sessions.",
			"Turn stickiness off. Only -c store=memory needs it.", sticky},
		{"imdsv2-only", "A server gives its credentials to requests that somebody tricks it into (IMDSv1).",
			"Set HttpTokens to required in the launch template.", allowsIMDSv1},
		{"only-the-balancer-faces-the-world", "A security group other than the load balancer's lets the whole world in.",
			"Let a security group in, or addresses of the VPC.", opensToTheWorld},
		{"encrypted", "Data of visitors is stored or sent in the clear.",
			"Turn encryption on.", unencrypted},
	}
}

// Name implements IPolicyValidationPlugin.
func (g *Guardrails) Name() *string { return jsii.String("guardrails") }

// Version implements IPolicyValidationPlugin.
func (g *Guardrails) Version() *string { return jsii.String("1.0.0") }

// RuleIds implements IPolicyValidationPlugin.
func (g *Guardrails) RuleIds() *[]*string {
	var ids []*string
	for _, rule := range guardrails() {
		ids = append(ids, jsii.String(rule.id))
	}
	return &ids
}

// Validate implements IPolicyValidationPlugin.
func (g *Guardrails) Validate(context awscdk.IPolicyValidationContext) *awscdk.PolicyValidationPluginReport {
	violations := []*awscdk.PolicyViolation{}
	for _, stack := range *context.StackTemplates() {
		found, err := g.check(*stack.TemplatePath)
		if err != nil {
			panic(err) // the CDK wrote the file a moment ago; jsii has no errors to return
		}
		violations = append(violations, found...)
	}
	return &awscdk.PolicyValidationPluginReport{Success: jsii.Bool(len(violations) == 0), Violations: &violations}
}

func (g *Guardrails) check(path string) ([]*awscdk.PolicyViolation, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("checking a template: %w", err)
	}
	var t cfnTemplate
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("checking the template %s: %w", path, err)
	}
	var violations []*awscdk.PolicyViolation
	for _, rule := range guardrails() {
		for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
			where := rule.breaks(id, t.Resources[id], t, g.Store)
			if where == "" {
				continue
			}
			violations = append(violations, &awscdk.PolicyViolation{
				RuleName: jsii.String(rule.id), Description: jsii.String(rule.description), Fix: jsii.String(rule.fix),
				Severity: jsii.String("error"),
				ViolatingResources: &[]*awscdk.PolicyViolatingResource{{
					ResourceLogicalId: jsii.String(id), TemplatePath: jsii.String(path),
					Locations: jsii.Strings("Properties/" + where),
				}},
			})
		}
	}
	return violations, nil
}
