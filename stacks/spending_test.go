package stacks

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/session/sessiontest/must"
)

// rateRuleOf returns the rate rule of the firewall.
func rateRuleOf(t *testing.T, lab assertions.Template) map[string]any {
	t.Helper()
	rules := dig(t, onlyResource(t, lab, "AWS::WAFv2::WebACL"), "Properties", "Rules").([]any)
	return rules[len(rules)-1].(map[string]any)
}

func TestFirewallLimitsTheRateOfAnAddress(t *testing.T) {
	_, lab := synth(t, variants["edge"])
	rule := rateRuleOf(t, lab)
	statement := dig(t, rule, "Statement", "RateBasedStatement").(map[string]any)
	if statement["Limit"] != 10_000.0 || statement["EvaluationWindowSec"] != 300.0 || statement["AggregateKeyType"] != "IP" {
		t.Errorf("the rate rule is %v", statement)
	}
	if code := dig(t, rule, "Action", "Block", "CustomResponse", "ResponseCode"); code != 429.0 {
		t.Errorf("a blocked request gets %v", code)
	}
	_, lab = synth(t, map[string]any{"waf": "true", "rateLimit": "500"})
	if got := dig(t, rateRuleOf(t, lab), "Statement", "RateBasedStatement", "Limit"); got != 500.0 {
		t.Errorf("rateLimit=500 sets the limit %v", got)
	}
}

// The load balancer behind CloudFront has the same few clients for all visitors, and visitors can send any X-Forwarded-For.
func TestFirewallBehindCloudFrontCountsVisitors(t *testing.T) {
	_, lab := synth(t, variants["cloudfront"])
	statement := dig(t, rateRuleOf(t, lab), "Statement", "RateBasedStatement")
	if kind := dig(t, statement, "AggregateKeyType"); kind != "FORWARDED_IP" {
		t.Errorf("requests are counted by %v", kind)
	}
	header := dig(t, statement, "ForwardedIPConfig", "HeaderName").(string)
	function := onlyResource(t, lab, "AWS::CloudFront::Function")
	code := dig(t, function, "Properties", "FunctionCode").(string)
	if !strings.Contains(code, "headers['"+header+"'] = {value: event.viewer.ip}") {
		t.Errorf("CloudFront doesn't set the header %s: %s", header, code)
	}
	associations := dig(t, onlyResource(t, lab, "AWS::CloudFront::Distribution"), "Properties", "DistributionConfig",
		"DefaultCacheBehavior", "FunctionAssociations").([]any)
	if len(associations) != 1 || dig(t, associations[0], "EventType") != "viewer-request" {
		t.Errorf("the functions of the distribution are %v", associations)
	}
	_, lab = synth(t, map[string]any{"cloudfront": "true"})
	expect(t, func() { lab.ResourceCountIs(jsii.String("AWS::CloudFront::Function"), jsii.Number(0)) })
}

func TestOnDemandTablesHaveMaximums(t *testing.T) {
	_, lab := synth(t, map[string]any{"maxReads": "70", "replicas": "eu-west-1"})
	table := dig(t, onlyResource(t, lab, "AWS::DynamoDB::GlobalTable"), "Properties")
	index := dig(t, table, "GlobalSecondaryIndexes", 0)
	for name, of := range map[string]any{"table": table, "index": index} {
		if got := dig(t, of, "WriteOnDemandThroughputSettings", "MaxWriteRequestUnits"); got != 1000.0 {
			t.Errorf("the %s writes up to %v units per second, want the default 1000", name, got)
		}
	}
	for i := range 2 {
		replica := dig(t, table, "Replicas", i)
		for name, of := range map[string]any{"replica": replica, "its index": dig(t, replica, "GlobalSecondaryIndexes", 0)} {
			if got := dig(t, of, "ReadOnDemandThroughputSettings", "MaxReadRequestUnits"); got != 70.0 {
				t.Errorf("%s %d reads up to %v units per second, want 70", name, i, got)
			}
		}
	}
	_, lab = synth(t, variants["dynamodb-provisioned"])
	if text := fmt.Sprint(*lab.ToJSON()); strings.Contains(text, "OnDemandThroughputSettings") {
		t.Error("a table with provisioned units has on-demand maximums, which DynamoDB refuses")
	}
}

func TestBudgetWarnsByMail(t *testing.T) {
	_, lab := synth(t, variants["spending"])
	budget := dig(t, onlyResource(t, lab, "AWS::Budgets::Budget"), "Properties")
	if limit := fmt.Sprint(dig(t, budget, "Budget", "BudgetLimit")); limit != "map[Amount:50 Unit:USD]" {
		t.Errorf("the limit is %s", limit)
	}
	var got []string
	for _, n := range dig(t, budget, "NotificationsWithSubscribers").([]any) {
		got = append(got, fmt.Sprintf("%v %v %v", dig(t, n, "Notification", "NotificationType"),
			dig(t, n, "Notification", "Threshold"), dig(t, n, "Subscribers", 0, "Address")))
	}
	want := []string{"ACTUAL 80 ops@example.com", "ACTUAL 100 ops@example.com", "FORECASTED 100 ops@example.com"}
	if !slices.Equal(got, want) {
		t.Errorf("the messages are %q, want %q", got, want)
	}
	_, lab = synth(t, nil)
	expect(t, func() { lab.ResourceCountIs(jsii.String("AWS::Budgets::Budget"), jsii.Number(0)) })
}

func TestBudgetsExistInSomeRegions(t *testing.T) {
	c := must.Get(ParseConfig(map[string]any{"budget": "50", "alarmEmail": "ops@example.com"}))(t)
	if err := c.CheckRegion("eu-west-1"); err != nil {
		t.Error(err)
	}
	if err := c.CheckRegion("eu-north-1"); err == nil || !strings.Contains(err.Error(), `context budget="50": CloudFormation `+
		"has no budgets in eu-north-1; allowed are ") {
		t.Errorf("in eu-north-1: %v", err)
	}
	_, lab := synth(t, variants["spending"])
	rule := dig(t, *lab.ToJSON(), "Rules", "BudgetsAreHere", "Assertions", 0).(map[string]any)
	if text := fmt.Sprint(rule); !strings.Contains(text, "eu-west-1") || strings.Contains(text, "eu-north-1") {
		t.Errorf("the rule is %s", text)
	}
}

func TestCPUCreditsAreInTheLaunchTemplate(t *testing.T) {
	credits := func(keys map[string]any) any {
		_, lab := synth(t, keys)
		data := dig(t, onlyResource(t, lab, "AWS::EC2::LaunchTemplate"), "Properties", "LaunchTemplateData").(map[string]any)
		specification, _ := data["CreditSpecification"].(map[string]any)
		return specification["CpuCredits"]
	}
	for _, test := range []struct {
		keys map[string]any
		want any
	}{
		{nil, "unlimited"},
		{map[string]any{"cpuCredits": "standard"}, "standard"},
		{map[string]any{"instanceType": "c7g.medium"}, nil},
		{variants["spot"], nil}, // t4g.small and c7g.medium
	} {
		if got := credits(test.keys); got != test.want {
			t.Errorf("%v: the credits are %v, want %v", test.keys, got, test.want)
		}
	}
}

func TestSpendingIsChecked(t *testing.T) {
	for _, test := range []struct {
		keys map[string]any
		want string
	}{
		{map[string]any{"budget": "50"}, `context budget="50": only with alarmEmail, which gets the messages`},
		{map[string]any{"rateLimit": "500"}, `context rateLimit="500": only with waf=true`},
		{map[string]any{"waf": "true", "rateLimit": "9"}, `context rateLimit="9": allowed is a whole number from 10 to 2000000000`},
		{map[string]any{"cpuCredits": "standard", "instanceType": "t4g.small,c7g.medium"},
			`context cpuCredits="standard": only with instance types that all have CPU credits, such as t4g.small`},
		{map[string]any{"billing": "provisioned", "maxWrites": "5"}, `context maxWrites="5": only with billing=on-demand`},
		{map[string]any{"store": "valkey", "maxReads": "5"}, `context maxReads="5": only with store=dynamodb`},
		{map[string]any{"waf": "true", "loaders": "3", "loadRate": "100..200.5,50"}, `context loaders="3": their requests come ` +
			`from one address, and the firewall would block them; with waf=true only with rateLimit=180450 or more`},
	} {
		if _, err := ParseConfig(test.keys); err == nil || err.Error() != test.want {
			t.Errorf("%v: %v, want %s", test.keys, err, test.want)
		}
	}
	for _, keys := range []map[string]any{
		{"waf": "true", "loaders": "3", "rateLimit": "180000"},
		{"waf": "true", "loaders": "1", "loadRate": "33"},
		{"loaders": "50", "loadRate": "9000"},
	} {
		if _, err := ParseConfig(keys); err != nil {
			t.Errorf("%v: %v", keys, err)
		}
	}
}
