package cost

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

func TestVCPUsOfInstanceTypes(t *testing.T) {
	for kind, want := range map[string]float64{
		"t4g.nano": 2, "t4g.small": 2, "t4g.large": 2, "t4g.xlarge": 4, "t4g.2xlarge": 8, "c7g.medium": 1, "m7g.large": 2,
		"r8g.48xlarge": 192, "c7g.metal": 64, "m8g.metal-24xl": 96, "c7g.huge": 0, "c7g.-1xlarge": 0, "c7g.999xlarge": 0, "": 0,
	} {
		if got := vCPUs(kind); got != want {
			t.Errorf("%s has %v vCPUs, want %v", kind, got, want)
		}
	}
}

func TestQuotasFollowTheConfiguration(t *testing.T) {
	e := estimator(t)
	named := func(names ...string) []Template {
		var list []Template
		for _, name := range names {
			template := must.Get(ReadTemplate(filepath.Join("..", "..", "stacks", "testdata", name+".json"), name))(t)
			list = append(list, template)
		}
		return list
	}
	tests := []struct {
		name      string
		templates []Template
		want      string // code: first, later, loaders
	}{
		// 2 to 6 × t4g.small, two vCPUs each
		{"default", named("network-lab-2-zones-nat-gateway", "dynamodb"), "L-1216C47A: 4 12 0"},
		// and a t4g.nano as NAT instance, which runs beside its successor for a while, and three c7g.large as loaders
		{"loaders", named("network-lab-2-zones-nat-instance", "loaders", "load"), "L-1216C47A: 6 16 6"},
		// 60 % spot: one of 2 servers on demand, 3 of 6
		{"spot", named("network-lab-2-zones-nat-gateway", "spot"), "L-1216C47A: 2 6 0, L-34B43A08: 2 6 0"},
	}
	for _, test := range tests {
		var got []string
		for _, q := range e.Bill(test.templates, usual).Quotas {
			got = append(got, fmt.Sprintf("%s: %.0f %.0f %.0f", q.Code, q.First, q.Later, q.Loaders))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s: %q, want %s", test.name, got, test.want)
		}
	}
}

func TestInstanceTypesOfOtherQuotasAreNamed(t *testing.T) {
	templates := golden(t, "dynamodb")
	for _, r := range templates[1].Resources {
		if r.Type == "AWS::EC2::LaunchTemplate" {
			r.Properties["LaunchTemplateData"].(map[string]any)["InstanceType"] = "x2gd.large"
		}
	}
	bill := estimator(t).Bill(templates, usual)
	note := `The quotas below lack the vCPUs of "x2gd.large": look up its quota in Service Quotas.`
	if len(bill.Quotas) != 0 || !slices.Contains(bill.Notes, note) {
		t.Errorf("quotas %v, notes %q", bill.Quotas, bill.Notes)
	}
}

func TestSurplusCreditsAreNoted(t *testing.T) {
	e := estimator(t)
	const want = "With unlimited CPU credits a t4g.small at the CPU target of 50 % costs 17.52 USD per month more, which the total " +
		"doesn't contain: (50 % − the baseline of 20 %) × 2 vCPUs × 730 hours × 0.04 USD. That is 35.04 USD for 2 servers. " +
		"cpuCredits=standard avoids it."
	if notes := e.Bill(golden(t, "dynamodb"), usual).Notes; !slices.Contains(notes, want) {
		t.Errorf("unlimited: %q, want %q", notes, want)
	}
	const standard = "With standard CPU credits a t4g.small slows down to 20 % of its CPU when its credits are used up, and costs no more."
	if notes := e.Bill(golden(t, "spending"), usual).Notes; !slices.Contains(notes, standard) {
		t.Errorf("standard: %q, want %q", notes, standard)
	}
}

func TestMaximumRequestUnitsAreLimits(t *testing.T) {
	traffic := usual
	traffic.RequestsPerSecond, traffic.Sessions = 10_000, 0 // 4000 reads and 1000 writes per second
	e := estimator(t)
	throttled := func(name string) []string {
		var found []string
		for _, limit := range e.Bill(golden(t, name), traffic).Limits {
			if strings.HasPrefix(limit, "The table's maximum") {
				found = append(found, limit)
			}
		}
		return found
	}
	if found := throttled("dynamodb"); len(found) > 0 {
		t.Errorf("exactly at the maximums: %q", found)
	}
	want := []string{
		"The table's maximum is 100 write request units per second, and the traffic needs 1000: requests would be throttled. Raise maxWrites.",
		"The table's maximum is 400 read request units per second, and the traffic needs 4000: requests would be throttled. Raise maxReads.",
	}
	if found := throttled("spending"); !slices.Equal(found, want) {
		t.Errorf("above the maximums: %q, want %q", found, want)
	}
}
