package stacks

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
)

// protections returns what protects the resources of the deployment from deletion, as "type: value", and the termination
// protection of each stack. The list has no doubles.
func protections(t *testing.T, keys map[string]any) []string {
	t.Helper()
	found := map[string]bool{}
	for _, stack := range stacksOf(defineStacks(t, keys)) {
		protected := stack.TerminationProtection()
		found[fmt.Sprintf("%s: %v", *stack.StackName(), protected != nil && *protected)] = true
		for _, r := range resources(t, assertions.Template_FromStack(stack, nil)) {
			var value any
			switch r.Type {
			case loadBalancer:
				value = attribute(t, map[string]any{"Properties": r.Properties}, "LoadBalancerAttributes", "deletion_protection.enabled")
			case table:
				for _, replica := range r.objects("Replicas") {
					found[fmt.Sprintf("%s: %v", r.Type, replica["DeletionProtectionEnabled"])] = true
				}
				continue
			case "AWS::RDS::DBCluster":
				value = r.property("DeletionProtection")
			case "AWS::DynamoDB::Table":
				value = r.property("DeletionProtectionEnabled")
			case "AWS::Cognito::UserPool":
				value = r.property("DeletionProtection")
				if value == nil {
					value = "INACTIVE"
				}
			default:
				continue
			}
			found[fmt.Sprintf("%s: %v", r.Type, value)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func TestProtectArmsAndDisarmsAll(t *testing.T) {
	const domain, zone = "lab.example.com", "Z0123456789ABCDEFGHIJ"
	for name, test := range map[string]struct {
		keys map[string]any
		kind string // protected besides load balancer and stacks
	}{
		"dynamodb":   {map[string]any{"replicas": "eu-west-1", "domain": domain, "hostedZoneId": zone}, table},
		"postgres":   {map[string]any{"store": "postgres", "domain": domain, "hostedZoneId": zone}, "AWS::RDS::DBCluster"},
		"revocation": {map[string]any{"store": "token", "revocation": "dynamodb", "domain": domain, "hostedZoneId": zone}, "AWS::DynamoDB::Table"},
		"login": {map[string]any{"store": "token", "login": "cognito", "domain": domain, "hostedZoneId": zone, "loaders": "1",
			"loadMix": "read=1"}, "AWS::Cognito::UserPool"},
	} {
		for _, protect := range []bool{true, false} {
			for stage, given := range map[string]bool{"production": !protect, "lab": protect} { // where it isn't the default
				keys := maps.Clone(test.keys)
				keys["stage"] = stage
				if given {
					keys["protect"] = protect
				}
				value := fmt.Sprint(protect)
				pool := map[bool]string{true: "ACTIVE", false: "INACTIVE"}[protect]
				stack := map[string]string{"production": "production-", "lab": "Stateless"}[stage]
				want := []string{loadBalancer + ": " + value, stack + "Lab: " + value, stack + "Network: " + value}
				if keys["loaders"] != nil {
					want = append(want, stack+"Load: "+value)
				}
				if test.kind == "AWS::Cognito::UserPool" {
					want = append(want, test.kind+": "+pool)
				} else {
					want = append(want, test.kind+": "+value)
				}
				slices.Sort(want)
				if got := protections(t, keys); !slices.Equal(got, want) {
					t.Errorf("%s in %s, protect %v: got %q\nwant %q", name, stage, protect, got, want)
				}
			}
		}
	}
}

// Data stays in the account whether or not its resource is protected: that is what the stage says.
func TestUnprotectedProductionKeepsData(t *testing.T) {
	keys := map[string]any{"stage": "production", "protect": "false", "certificateArn": certificate}
	_, lab := synth(t, keys)
	if policy := onlyResource(t, lab, table)["DeletionPolicy"]; policy != "RetainExceptOnCreate" {
		t.Errorf("the table has the deletion policy %v, want RetainExceptOnCreate", policy)
	}
	keys["store"] = "postgres"
	_, lab = synth(t, keys)
	if policy := onlyResource(t, lab, "AWS::RDS::DBCluster")["DeletionPolicy"]; policy != "Snapshot" {
		t.Errorf("the database has the deletion policy %v, want Snapshot", policy)
	}
}
