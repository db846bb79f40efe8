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

// Guardrails is a policy validation plugin of the CDK that fails a synthesis whose templates break one of its rules. It
// checks the final templates, so it also finds what aspects and escape hatches changed.
type Guardrails struct {
	// Store is the session store of the lab. Stickiness is allowed with config.StoreMemory only.
	Store config.StoreKind
}

var _ awscdk.IPolicyValidationPlugin = (*Guardrails)(nil)

// A guardrail is a rule for every resource of a template. Its find returns the path of the property that breaks the rule, or
// "".
type guardrail struct {
	id, description, fix string
	find                 func(id string, r cfnResource, t cfnTemplate, store config.StoreKind) (path string)
}

func guardrails() []guardrail {
	return []guardrail{
		{"any-server-any-request", "A load balancer sends each visitor to one server, although servers share the sessions.",
			"Turn stickiness off. Only -c store=memory needs it.", findStickiness},
		{"imdsv2-only", "IMDSv1 is allowed: server-side request forgery can read the instance's credentials.",
			"Set HttpTokens to required in the launch template.", findIMDSv1},
		{"only-the-load-balancer-is-public", "A security group other than the load balancer's accepts connections from anywhere.",
			"Allow a security group, or addresses of the VPC.", findPublicIngress},
		{"encrypted", "Data of visitors is stored or sent without encryption.",
			"Turn encryption on.", findUnencrypted},
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
			panic(err) // the CDK has just written the file, and a plugin can't return an error
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
			property := rule.find(id, t.Resources[id], t, g.Store)
			if property == "" {
				continue
			}
			violations = append(violations, &awscdk.PolicyViolation{
				RuleName: jsii.String(rule.id), Description: jsii.String(rule.description), Fix: jsii.String(rule.fix),
				Severity: jsii.String("error"),
				ViolatingResources: &[]*awscdk.PolicyViolatingResource{{
					ResourceLogicalId: jsii.String(id), TemplatePath: jsii.String(path),
					Locations: jsii.Strings("Properties/" + property),
				}},
			})
		}
	}
	return violations, nil
}
