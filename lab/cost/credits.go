package cost

import "strings"

// cpuBaselines has the baseline of each vCPU of the burstable Graviton types, in percent (Amazon EC2 User Guide, "Burstable
// performance instances").
var cpuBaselines = map[string]float64{
	"t4g.nano": 5, "t4g.micro": 10, "t4g.small": 20, "t4g.medium": 20, "t4g.large": 30, "t4g.xlarge": 40, "t4g.2xlarge": 40,
}

// addCredits adds a note about the CPU credits of count servers. In unlimited mode, the default of AWS for t4g, EC2 bills the
// vCPU-hours above the baseline. How many those are depends on the requests, which the Traffic doesn't tell: the note has the
// amount at the CPU usage that scaling aims at.
func (w *worksheet) addCredits(group, machine Resource, count float64) {
	kind := machine.text("InstanceType")
	baseline, burstable := cpuBaselines[kind]
	if !burstable {
		return
	}
	if strings.EqualFold(machine.text("CreditSpecification", "CpuCredits"), "standard") {
		w.addNote("With standard CPU credits a %s slows down to %.0f %% of its CPU when its credits are used up, and costs no more.",
			kind, baseline)
		return
	}
	target := 0.0
	for _, policy := range w.ofType("AWS::AutoScaling::ScalingPolicy") {
		metric := policy.text("TargetTrackingConfiguration", "PredefinedMetricSpecification", "PredefinedMetricType")
		if metric == "ASGAverageCPUUtilization" && reference(policy.Properties["AutoScalingGroupName"]) == group.id {
			target = min(100, policy.number("TargetTrackingConfiguration", "TargetValue"))
		}
	}
	price, found := w.Prices.find(w.Region, "ec2:cpu-credits")
	if target <= baseline || !found {
		return
	}
	hours := (target - baseline) / 100 * vCPUs(kind) * hoursPerMonth
	w.addNote("With unlimited CPU credits a %s at the CPU target of %.0f %% costs %.2f USD per month more, which the total doesn't "+
		"contain: (%.0f %% − the baseline of %.0f %%) × %.0f vCPUs × %d hours × %g USD. That is %.2f USD for %.0f servers. "+
		"cpuCredits=standard avoids it.", kind, target, hours*price.USD, target, baseline, vCPUs(kind), hoursPerMonth, price.USD,
		count*hours*price.USD, count)
}
