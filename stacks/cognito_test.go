package stacks

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

const (
	userPool       = "AWS::Cognito::UserPool"
	userPoolClient = "AWS::Cognito::UserPoolClient"
	userPoolDomain = "AWS::Cognito::UserPoolDomain"
)

func TestCognitoLogin(t *testing.T) {
	_, lab := synth(t, variants["cognito"])
	if problems := loginProblems(resources(t, lab), "https://lab.example.com"); len(problems) > 0 {
		t.Errorf("%q", problems)
	}
	needs := fmt.Sprint(only(t, lab, scalingGroup)["DependsOn"])
	for _, kind := range []string{userPoolDomain, "AWS::IAM::Policy"} {
		for id := range *lab.FindResources(jsii.String(kind), nil) {
			if !strings.Contains(needs, id) && !strings.Contains(id, "Rotation") {
				t.Errorf("servers don't wait for %s", id)
			}
		}
	}
	expectProperties(t, lab, userPool, map[string]any{"MfaConfiguration": "OPTIONAL", "DeletionProtection": "INACTIVE",
		"UserPoolTier": "LITE", "UsernameAttributes": []any{"email"}, "UserPoolAddOns": assertions.Match_Absent()})
	expect(t, func() {
		lab.HasResource(jsii.String(userPool), map[string]any{"DeletionPolicy": "Delete"})
		lab.HasOutput(jsii.String("UserPool"), map[string]any{"Value": map[string]any{"Ref": assertions.Match_AnyValue()}})
		lab.HasOutput(jsii.String("Issuer"), map[string]any{"Value": map[string]any{
			"Fn::GetAtt": []any{assertions.Match_AnyValue(), "ProviderURL"}}})
		// Its name is as unique as the id of the stack.
		lab.HasResourceProperties(jsii.String(userPoolDomain), map[string]any{"Domain": map[string]any{"Fn::Join": []any{"",
			[]any{"stateless-", map[string]any{"Fn::Select": []any{2, map[string]any{"Fn::Split": []any{"/",
				map[string]any{"Ref": "AWS::StackId"}}}}}}}}})
	})

	_, lab = synth(t, nil)
	for _, kind := range []string{userPool, userPoolClient, userPoolDomain} {
		expect(t, func() { lab.ResourceCountIs(jsii.String(kind), jsii.Number(0)) })
	}
	if said := environment(t, lab); strings.Contains(said, "OIDC_") {
		t.Errorf("servers are told of a login: %s", said)
	}
}

func TestCognitoLoginInProduction(t *testing.T) {
	_, lab := synth(t, variants["cognito-production"])
	var name any
	for id := range *lab.FindResources(jsii.String("AWS::CloudFront::Distribution"), nil) {
		name = map[string]any{"Fn::GetAtt": []any{id, "DomainName"}}
	}
	if problems := loginProblems(resources(t, lab), "https://", name); len(problems) > 0 {
		t.Errorf("%q", problems)
	}
	expectProperties(t, lab, userPool, map[string]any{"MfaConfiguration": "ON", "DeletionProtection": "ACTIVE"})
	expect(t, func() {
		lab.HasResource(jsii.String(userPool), map[string]any{
			"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"})
		lab.ResourceCountIs(jsii.String("AWS::SecretsManager::Secret"), jsii.Number(1)) // the store's keys are enough
	})
}

// TestBrokenLogins holds what the tests above look for against templates in which it is wrong.
func TestBrokenLogins(t *testing.T) {
	tests := []struct {
		name, kind string
		broken     map[string]any // properties; nil takes the resource away
		want       string
	}{
		{"a secret", userPoolClient, map[string]any{"GenerateSecret": true}, "a secret is made"},
		{"tokens in addresses", userPoolClient, map[string]any{"AllowedOAuthFlows": []any{"code", "implicit"}},
			"flows are [code implicit]"},
		{"passwords in the clear", userPoolClient, map[string]any{"ExplicitAuthFlows": []any{"ALLOW_USER_PASSWORD_AUTH"}},
			"passwords in the clear: [ALLOW_USER_PASSWORD_AUTH]"},
		{"another address", userPoolClient, map[string]any{"CallbackURLs": []any{"https://lab.example.com/"}},
			"visitors come back to [https://lab.example.com/]"},
		{"one address more", userPoolClient, map[string]any{"CallbackURLs": []any{"https://lab.example.com/login/callback",
			"http://localhost:8080/login/callback"}},
			"visitors come back to [https://lab.example.com/login/callback http://localhost:8080/login/callback]"},
		{"another address after logout", userPoolClient, map[string]any{"LogoutURLs": []any{"https://lab.example.com"}},
			"after logout they come to [https://lab.example.com]"},
		{"names of users told", userPoolClient, map[string]any{"PreventUserExistenceErrors": "LEGACY"}, "it tells who has an account"},
		{"strangers", userPool, map[string]any{"AdminCreateUserConfig": map[string]any{"AllowAdminCreateUserOnly": false}},
			"strangers sign up"},
		{"short messages", userPool, map[string]any{"EnabledMfas": []any{"SMS_MFA"}}, "second factors are [SMS_MFA]"},
		{"no domain", userPoolDomain, nil, "no AWS::Cognito::UserPoolDomain, or several"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, lab := synth(t, variants["cognito"])
			found := resources(t, lab)
			for id, r := range found {
				switch {
				case r.Type != test.kind:
				case test.broken == nil:
					delete(found, id)
				default:
					maps.Copy(r.Properties, test.broken)
				}
			}
			if got := loginProblems(found, "https://lab.example.com"); !slices.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// loginProblems is what is wrong with the login of a lab at an address, which is in parts.
func loginProblems(found map[string]cfnResource, address ...any) (problems []string) {
	require := func(ok bool, format string, values ...any) {
		if !ok {
			problems = append(problems, fmt.Sprintf(format, values...))
		}
	}
	one := func(kind string) (r cfnResource) {
		n := 0
		for _, resource := range found {
			if resource.Type == kind {
				r, n = resource, n+1
			}
		}
		require(n == 1, "no %s, or several", kind)
		return r
	}
	at := func(path string) []any {
		if len(address) == 1 {
			return []any{address[0].(string) + path}
		}
		return []any{map[string]any{"Fn::Join": []any{"", append(slices.Clone(address), path)}}}
	}
	client := one(userPoolClient)
	require(client.at("GenerateSecret") == false, "a secret is made")
	require(reflect.DeepEqual(client.at("AllowedOAuthFlows"), []any{"code"}), "flows are %v", client.at("AllowedOAuthFlows"))
	flows := client.at("ExplicitAuthFlows")
	require(!strings.Contains(fmt.Sprint(flows), "PASSWORD"), "passwords in the clear: %v", flows)
	back, after := client.at("CallbackURLs"), client.at("LogoutURLs")
	require(reflect.DeepEqual(back, at(config.LoginCallback)), "visitors come back to %v", back)
	require(reflect.DeepEqual(after, at("/")), "after logout they come to %v", after)
	require(client.at("PreventUserExistenceErrors") == "ENABLED", "it tells who has an account")
	pool := one(userPool)
	require(pool.at("AdminCreateUserConfig", "AllowAdminCreateUserOnly") == true, "strangers sign up")
	factors := pool.at("EnabledMfas")
	require(reflect.DeepEqual(factors, []any{"SOFTWARE_TOKEN_MFA"}), "second factors are %v", factors)
	one(userPoolDomain)
	return problems
}
