package stacks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsbudgets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// A CPUCredits selects what happens when a server of a burstable type has used up its CPU credits.
type CPUCredits string

// The modes of CPU credits.
const (
	// CPUCreditsUnlimited lets servers run at full speed and bills what they use above their baseline, over 24 hours.
	CPUCreditsUnlimited CPUCredits = "unlimited"
	// CPUCreditsStandard slows servers down to their baseline and costs nothing more.
	CPUCreditsStandard CPUCredits = "standard"
)

// SpendingConfig holds the options that bound what a deployment can cost.
type SpendingConfig struct {
	// Budget (budget) is a monthly budget in USD. AlarmEmail gets a message when the costs reach 80 % of it, when they reach
	// all of it, and when AWS forecasts that they will. It stops nothing, and AWS updates the costs a few times per day. It
	// counts the whole account, because counting by tags needs an activation in the billing console. The default is 0: no
	// budget. It is refused in regions where CloudFormation has no budgets.
	Budget int
	// RateLimit (rateLimit) is the number of requests that the firewall accepts from one address in five minutes. Beyond it
	// the address gets 429 until its rate falls. Visitors behind one NAT share an address. The default 10000 is 33 requests
	// per second. Loaders share an address too and need a higher limit.
	RateLimit int
	// CPUCredits (cpuCredits) is the credit mode of servers of burstable types (t4g). With unlimited (the default, as at AWS) a
	// server at the CPU target of auto scaling, 50 %, costs up to 17.52 USD per month more (t4g.small). With standard it slows
	// down to its baseline of 20 % when its credits are used up. The target is then never reached, so the fleet doesn't grow
	// by CPU. A new server starts without credits and boots slowly.
	CPUCredits CPUCredits
}

// rateWindowSeconds is the time in which the firewall counts the requests of an address.
const rateWindowSeconds = 300

// burstable reports whether all instance types have CPU credits.
func (c *Config) burstable() bool {
	return c.InstanceTypes != "" && !slices.ContainsFunc(strings.Split(c.InstanceTypes, ","), func(name string) bool {
		return !strings.HasPrefix(name, "t")
	})
}

// credits returns the CPU credits for the launch template. It returns "" for types without credits, for which EC2 refuses the
// property. Instances of burstable types in a list with others have the default of AWS, unlimited.
func (c *Config) credits() awsec2.CpuCredits {
	switch {
	case !c.burstable():
		return ""
	case c.Spending.CPUCredits == CPUCreditsStandard:
		return awsec2.CpuCredits_STANDARD
	}
	return awsec2.CpuCredits_UNLIMITED
}

// spendingConflicts returns an error for each combination of allowed values that isn't allowed.
func (c *Config) spendingConflicts() []error {
	var problems []error
	if c.Spending.Budget > 0 && c.AlarmEmail == "" {
		problems = append(problems, fmt.Errorf("context budget=\"%d\": only with alarmEmail, which gets the messages",
			c.Spending.Budget))
	}
	sent := int(float64(c.Load.Loaders) * c.Load.highestRate() * rateWindowSeconds)
	if c.WAF && c.Spending.RateLimit > 0 && sent > c.Spending.RateLimit {
		problems = append(problems, fmt.Errorf("context loaders=\"%d\": their requests come from one address, and the firewall "+
			"would block them; with waf=true only with rateLimit=%d or more", c.Load.Loaders, sent))
	}
	return problems
}

// highestRate returns the highest number of requests per second of one loader.
func (c LoadConfig) highestRate() float64 {
	highest := 0.0
	for _, text := range strings.Split(strings.ReplaceAll(c.Rate, "..", ","), ",") {
		if rate, err := strconv.ParseFloat(text, 64); err == nil { // a rate that isn't allowed is reported elsewhere
			highest = max(highest, rate)
		}
	}
	return highest
}

// NewBudget defines a monthly budget of the account in USD, and messages to the e-mail address.
func NewBudget(scope constructs.Construct, id string, usd int, email string) {
	notification := func(kind string, percent float64) any {
		return &awsbudgets.CfnBudget_NotificationWithSubscribersProperty{
			Notification: &awsbudgets.CfnBudget_NotificationProperty{
				NotificationType: jsii.String(kind), ComparisonOperator: jsii.String("GREATER_THAN"),
				Threshold: jsii.Number(percent), ThresholdType: jsii.String("PERCENTAGE"),
			},
			Subscribers: &[]any{&awsbudgets.CfnBudget_SubscriberProperty{
				SubscriptionType: jsii.String("EMAIL"), Address: jsii.String(email),
			}},
		}
	}
	awsbudgets.NewCfnBudget(scope, jsii.String(id), &awsbudgets.CfnBudgetProps{
		Budget: &awsbudgets.CfnBudget_BudgetDataProperty{
			BudgetType: jsii.String("COST"), TimeUnit: jsii.String("MONTHLY"),
			BudgetLimit: &awsbudgets.CfnBudget_SpendProperty{Amount: jsii.Number(usd), Unit: jsii.String("USD")},
		},
		NotificationsWithSubscribers: &[]any{
			notification("ACTUAL", 80), notification("ACTUAL", 100), notification("FORECASTED", 100)},
	})
}
