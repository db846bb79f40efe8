package compare

import (
	"strings"
	"testing"

	"stateless-servers/lab/cost"
	"stateless-servers/session/sessiontest/must"
)

func TestReportsNameTheQuotas(t *testing.T) {
	small := cost.Quota{Name: "Standard", Code: "L-1", First: 4, Later: 12}
	large := cost.Quota{Name: "Spot", Code: "L-2", First: 1, Later: 2, Loaders: 6}
	r := Report{Region: "eu-west-1", Variants: []Variant{
		{Name: "a", Bill: cost.Bill{Quotas: []cost.Quota{small}, Notes: []string{"A note."}}},
		{Name: "b", Bill: cost.Bill{Quotas: []cost.Quota{small, large}, Notes: []string{"A note."}}},
	}}
	var text strings.Builder
	must.Succeed(t, r.WriteText(&text, 0))
	for _, want := range []string{
		"\nall: A note.\n",
		"\nall      Standard                       4                 12       +0\n",
		"\nb        Spot                           1                  2       +6\n",
		"\n  aws service-quotas get-service-quota --service-code ec2 --quota-code L-1 --region eu-west-1 --query Quota.Value\n",
		"\n  aws service-quotas get-service-quota --service-code ec2 --quota-code L-2 --region eu-west-1 --query Quota.Value\n",
	} {
		if strings.Count(text.String(), want) != 1 {
			t.Errorf("want %q once in:\n%s", want, &text)
		}
	}
}
