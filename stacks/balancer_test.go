package stacks

import (
	"strings"
	"testing"
)

func TestAlgorithm(t *testing.T) {
	for algorithm, mitigation := range map[string]string{"round_robin": "", "least_outstanding_requests": "", "weighted_random": "on"} {
		_, lab := synth(t, map[string]any{"algorithm": algorithm})
		got := map[string]string{}
		for _, entry := range dig(t, onlyResource(t, lab, targetGroup), "Properties", "TargetGroupAttributes").([]any) {
			got[dig(t, entry, "Key").(string)] = dig(t, entry, "Value").(string)
		}
		if got["load_balancing.algorithm.type"] != algorithm || got["load_balancing.algorithm.anomaly_mitigation"] != mitigation {
			t.Errorf("%s: got the attributes %v", algorithm, got)
		}
		// Elastic Load Balancing refuses slow start with the other algorithms, and a sticky visitor bypasses them.
		for key := range got {
			if strings.HasPrefix(key, "slow_start") {
				t.Errorf("%s: %s is set", algorithm, key)
			}
		}
		if got["stickiness.enabled"] != "false" {
			t.Errorf("%s: visitors are sticky", algorithm)
		}
	}
	_, lab := synth(t, nil)
	if got := attribute(t, onlyResource(t, lab, targetGroup), "TargetGroupAttributes", "load_balancing.algorithm.type"); got != "round_robin" {
		t.Errorf("the default algorithm is %s, want round_robin", got)
	}
}

func TestZonalShift(t *testing.T) {
	for value, want := range map[string]bool{"": true, "true": true, "false": false} {
		keys := map[string]any{}
		if value != "" {
			keys["zonalShift"] = value
		}
		_, lab := synth(t, keys)
		got := attribute(t, onlyResource(t, lab, loadBalancer), "LoadBalancerAttributes", "zonal_shift.config.enabled")
		if (got == "true") != want {
			t.Errorf("zonalShift=%s: the load balancer has %s", value, got)
		}
		expectProperties(t, lab, scalingGroup, map[string]any{"AvailabilityZoneImpairmentPolicy": map[string]any{
			"ZonalShiftEnabled": want, "ImpairedZoneHealthCheckBehavior": "ReplaceUnhealthy"}})
	}
}
