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
	needs := fmt.Sprint(onlyResource(t, lab, scalingGroup)["DependsOn"])
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
		// The domain contains the id of the stack, so that it is unique.
		lab.HasResourceProperties(jsii.String(userPoolDomain), map[string]any{"Domain": map[string]any{"Fn::Join": []any{"",
			[]any{"stateless-", map[string]any{"Fn::Select": []any{2, map[string]any{"Fn::Split": []any{"/",
				map[string]any{"Ref": "AWS::StackId"}}}}}}}}})
	})

	_, lab = synth(t, nil)
	for _, kind := range []string{userPool, userPoolClient, userPoolDomain} {
		expect(t, func() { lab.ResourceCountIs(jsii.String(kind), jsii.Number(0)) })
	}
	if env := environmentFile(t, lab); strings.Contains(env, "OIDC_") {
		t.Errorf("the environment configures a login, want none: %s", env)
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
		lab.ResourceCountIs(jsii.String("AWS::SecretsManager::Secret"), jsii.Number(1)) // the login uses the store's keys
	})
}

// TestLoginProblemsFindsEach checks that loginProblems finds each problem in a template that has it.
func TestLoginProblemsFindsEach(t *testing.T) {
	tests := []struct {
		name, kind string
		broken     map[string]any // properties to change; nil removes the resource
		want       string
	}{
		{"a secret", userPoolClient, map[string]any{"GenerateSecret": true}, "the client has a secret"},
		{"tokens in addresses", userPoolClient, map[string]any{"AllowedOAuthFlows": []any{"code", "implicit"}},
			"flows are [code implicit]"},
		{"passwords in the clear", userPoolClient, map[string]any{"ExplicitAuthFlows": []any{"ALLOW_USER_PASSWORD_AUTH"}},
			"clients send passwords: [ALLOW_USER_PASSWORD_AUTH]"},
		{"another address", userPoolClient, map[string]any{"CallbackURLs": []any{"https://lab.example.com/"}},
			"redirect URLs are [https://lab.example.com/]"},
		{"one address more", userPoolClient, map[string]any{"CallbackURLs": []any{"https://lab.example.com/login/callback",
			"http://localhost:8080/login/callback"}},
			"redirect URLs are [https://lab.example.com/login/callback http://localhost:8080/login/callback]"},
		{"another address after logout", userPoolClient, map[string]any{"LogoutURLs": []any{"https://lab.example.com"}},
			"logout URLs are [https://lab.example.com]"},
		{"user enumeration", userPoolClient, map[string]any{"PreventUserExistenceErrors": "LEGACY"}, "errors reveal who has an account"},
		{"sign-up", userPool, map[string]any{"AdminCreateUserConfig": map[string]any{"AllowAdminCreateUserOnly": false}},
			"visitors can sign up"},
		{"short messages", userPool, map[string]any{"EnabledMfas": []any{"SMS_MFA"}}, "second factors are [SMS_MFA]"},
		{"no domain", userPoolDomain, nil, "want one AWS::Cognito::UserPoolDomain"},
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

// loginProblems returns the problems of the login in a lab's resources. The parts of the address of the application are
// joined.
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
		require(n == 1, "want one %s", kind)
		return r
	}
	at := func(path string) []any {
		if len(address) == 1 {
			return []any{address[0].(string) + path}
		}
		return []any{map[string]any{"Fn::Join": []any{"", append(slices.Clone(address), path)}}}
	}
	client := one(userPoolClient)
	require(client.property("GenerateSecret") == false, "the client has a secret")
	require(reflect.DeepEqual(client.property("AllowedOAuthFlows"), []any{"code"}), "flows are %v", client.property("AllowedOAuthFlows"))
	flows := client.property("ExplicitAuthFlows")
	require(!strings.Contains(fmt.Sprint(flows), "PASSWORD"), "clients send passwords: %v", flows)
	back, after := client.property("CallbackURLs"), client.property("LogoutURLs")
	require(reflect.DeepEqual(back, at(config.LoginCallback)), "redirect URLs are %v", back)
	require(reflect.DeepEqual(after, at("/")), "logout URLs are %v", after)
	require(client.property("PreventUserExistenceErrors") == "ENABLED", "errors reveal who has an account")
	pool := one(userPool)
	require(pool.property("AdminCreateUserConfig", "AllowAdminCreateUserOnly") == true, "visitors can sign up")
	factors := pool.property("EnabledMfas")
	require(reflect.DeepEqual(factors, []any{"SOFTWARE_TOKEN_MFA"}), "second factors are %v", factors)
	one(userPoolDomain)
	return problems
}
