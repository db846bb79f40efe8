package cost

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A Quota is the number of vCPUs that a deployment needs of one of the account's quotas in its region.
type Quota struct {
	Name string `json:"name"`
	Code string `json:"code"` // in Service Quotas
	// First is the number of vCPUs that the first deployment needs, and Later the number at most in any later one: then the
	// group of servers is filled to its maximum, and a NAT instance may run beside its successor. Auto scaling needs the same.
	First float64 `json:"vcpus_first_deployment"`
	Later float64 `json:"vcpus_later_deployments"`
	// Loaders is the number of vCPUs that the loaders need in addition while they run.
	Loaders float64 `json:"vcpus_loaders,omitempty"`
}

// Command returns the command that prints the account's value of the quota.
func (q Quota) Command(region string) string {
	return fmt.Sprintf("aws service-quotas get-service-quota --service-code ec2 --quota-code %s --region %s --query Quota.Value",
		q.Code, region)
}

// The codes of the quotas for instances of the families A, C, D, H, I, M, R, T and Z.
const (
	onDemandQuota = "L-1216C47A"
	spotQuota     = "L-34B43A08"
)

// loadersPattern matches the number of loaders in the command that starts them, an output of the load stack.
var loadersPattern = regexp.MustCompile(`--count ([0-9]{1,3})\b`)

// vCPUs returns the number of vCPUs of an instance type of a Graviton family, or 0 if it is unknown: 1 for medium, 2 for
// large, and 4 for each xlarge; t4g has 2 up to large (Amazon EC2, "Instance types").
func vCPUs(kind string) float64 {
	family, size, _ := strings.Cut(kind, ".")
	switch {
	case strings.HasPrefix(family, "t") && (size == "nano" || size == "micro" || size == "small" || size == "medium"):
		return 2
	case size == "medium":
		return 1
	case size == "large":
		return 2
	case size == "metal":
		return 64
	}
	times, found := strings.CutSuffix(strings.TrimPrefix(strings.TrimPrefix(size, "metal"), "-"), "xl")
	if !found {
		times, found = strings.CutSuffix(size, "xlarge")
	}
	if times == "" && found {
		return 4
	}
	n, err := strconv.ParseUint(times, 10, 8)
	if !found || err != nil {
		return 0
	}
	return 4 * float64(n)
}

// isStandard reports whether the instance type counts against the quotas above. Families such as x2gd and g5g have quotas of their own.
func isStandard(kind string) bool {
	return kind != "" && strings.ContainsRune("acdhimrtz", rune(kind[0])) && !strings.HasPrefix(kind, "hpc")
}

// addQuotas adds the quotas that the deployment needs, and a note about each instance type that has another quota.
func (w *worksheet) addQuotas() {
	onDemand := Quota{Name: "Running On-Demand Standard instances", Code: onDemandQuota}
	spot := Quota{Name: "All Standard Spot Instance Requests", Code: spotQuota}
	for _, r := range w.ofType("AWS::AutoScaling::AutoScalingGroup") {
		each := 0.0 // vCPUs of the largest type, since the group may get instances of that type only
		for _, kind := range w.instanceTypes(r) {
			each = max(each, w.quotaCPUs(kind))
		}
		low, high, share := r.number("MinSize"), r.number("MaxSize"), onDemandPercent(r)/100
		first, later := math.Ceil(low*share), math.Ceil(high*share)
		onDemand.First, onDemand.Later = onDemand.First+first*each, onDemand.Later+later*each
		spot.First, spot.Later = spot.First+(low-first)*each, spot.Later+(high-later)*each
	}
	for _, r := range w.ofType("AWS::EC2::Instance") { // NAT instances
		cpus := w.quotaCPUs(r.text("InstanceType"))
		onDemand.First, onDemand.Later = onDemand.First+cpus, onDemand.Later+2*cpus
	}
	count, kind := w.loaders()
	if count > 0 {
		onDemand.Loaders = count * w.quotaCPUs(kind)
	}
	for _, q := range []Quota{onDemand, spot} {
		if q.First+q.Later+q.Loaders > 0 {
			w.bill.Quotas = append(w.bill.Quotas, q)
		}
	}
}

// quotaCPUs returns the number of vCPUs of the instance type. It returns 0 and adds a note if the type has another quota or an
// unknown size.
func (w *worksheet) quotaCPUs(kind string) float64 {
	n := vCPUs(kind)
	if n == 0 || !isStandard(kind) {
		w.addNote("The quotas below lack the vCPUs of %q: look up its quota in Service Quotas.", kind)
		return 0
	}
	return n
}

// instanceTypes returns the instance types that the group may have.
func (w *worksheet) instanceTypes(group Resource) []string {
	var kinds []string
	for _, o := range objects(group, group.value("MixedInstancesPolicy", "LaunchTemplate", "Overrides")) {
		kinds = append(kinds, o.text("InstanceType"))
	}
	if len(kinds) > 0 {
		return kinds
	}
	machine, _ := w.machine(group)
	return []string{machine.text("InstanceType")}
}

// onDemandPercent returns the percentage of on-demand instances in the group, from 0 to 100. Auto Scaling rounds their number up.
func onDemandPercent(group Resource) float64 {
	percent, given := group.value("MixedInstancesPolicy", "InstancesDistribution", "OnDemandPercentageAboveBaseCapacity").(float64)
	if !given || !(percent >= 0 && percent <= 100) {
		return 100
	}
	return percent
}

// loaders returns the number and the instance type of the loaders, which no resource of the templates describes: the stack of
// the loaders has a launch template, and an output with the command that starts them.
func (w *worksheet) loaders() (count float64, kind string) {
	for _, r := range w.ofType("AWS::EC2::LaunchTemplate") {
		parts, _ := r.template.value(r.template.Outputs["Start"].Value, "Fn::Join").([]any)
		if found := loadersPattern.FindStringSubmatch(fmt.Sprint(parts)); found != nil {
			count, _ = strconv.ParseFloat(found[1], 64) // at most three digits
			return count, r.text("LaunchTemplateData", "InstanceType")
		}
	}
	return 0, ""
}
