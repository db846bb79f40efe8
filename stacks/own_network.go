package stacks

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// anyAddress is the default of Config.AllowFrom.
const anyAddress = "0.0.0.0/0"

var (
	vpcPattern      = regexp.MustCompile(`^vpc-[0-9a-f]{8}([0-9a-f]{9})?$`)
	subnetPattern   = regexp.MustCompile(`^subnet-[0-9a-f]{8}([0-9a-f]{9})?$`)
	zoneNamePattern = regexp.MustCompile(`^` + regionExpr + `[a-z]$`)
)

// VPCConfig names a VPC that exists and its subnets. Each list of subnets has one in each of the availabilityZones, in
// their order, separated by commas. There are no defaults.
type VPCConfig struct {
	// ID (vpcId) is the id of an existing VPC, instead of a new one. It needs availabilityZones and fleetSubnets. The servers
	// must reach AWS APIs from it (docs/deploy.md). Setting or changing it replaces everything in the old VPC: destroy the lab
	// first.
	ID string
	// BalancerSubnets (balancerSubnets) are the public subnets of the load balancer, by their ids. With cloudfront there are
	// none, because the load balancer is in the subnets of the servers.
	BalancerSubnets string
	// FleetSubnets (fleetSubnets) are the private subnets of the servers, by their ids.
	FleetSubnets string
	// StoreSubnets (storeSubnets) are the subnets of session stores in the VPC, by their ids. The default is those of the
	// servers.
	StoreSubnets string
}

// Subnets selects the subnets of a lab's parts. A nil selection is the CDK's default: public subnets for a load balancer
// that isn't private, and for everything else private subnets, with a route to the internet if there are such.
type Subnets struct {
	Balancer, Fleet, Store *awsec2.SubnetSelection
}

// groupSubnets selects the subnet groups of NewNetwork and of VPCConfig.importInto.
func groupSubnets() Subnets {
	group := func(name string) *awsec2.SubnetSelection {
		return &awsec2.SubnetSelection{SubnetGroupName: jsii.String(name)}
	}
	return Subnets{Balancer: group(balancerSubnets), Fleet: group(fleetSubnets), Store: group(storeSubnets)}
}

// importInto returns the VPC, without a call to AWS. Its subnet groups have the names of those of NewNetwork.
func (c VPCConfig) importInto(scope constructs.Construct, zones string) awsec2.IVpc {
	list := func(text string) *[]*string { return jsii.Strings(fields(text)...) }
	store := c.StoreSubnets
	if store == "" {
		store = c.FleetSubnets
	}
	attributes := &awsec2.VpcAttributes{
		VpcId: jsii.String(c.ID), AvailabilityZones: list(zones),
		PrivateSubnetIds: list(c.FleetSubnets), PrivateSubnetNames: jsii.Strings(fleetSubnets),
		IsolatedSubnetIds: list(store), IsolatedSubnetNames: jsii.Strings(storeSubnets),
	}
	if c.BalancerSubnets != "" {
		attributes.PublicSubnetIds, attributes.PublicSubnetNames = list(c.BalancerSubnets), jsii.Strings(balancerSubnets)
	}
	vpc := awsec2.Vpc_FromVpcAttributes(scope, jsii.String("Vpc"), attributes)
	// The CDK warns that it doesn't know the subnets' route tables. Nothing here changes routes.
	awscdk.Annotations_Of(vpc).AcknowledgeWarning(jsii.String("@aws-cdk/aws-ec2:noSubnetRouteTableId"), nil)
	return vpc
}

// vpcConflicts returns an error for each combination of the options of the network that isn't allowed.
func (c *Config) vpcConflicts() []error {
	var problems []error
	add := func(key, value, format string, values ...any) {
		problems = append(problems, fmt.Errorf("context %s=%q: "+format, append([]any{key, value}, values...)...))
	}
	zones := fields(c.AvailabilityZones)
	if i := slices.IndexFunc(zones, func(zone string) bool { return regionOf(zone) != regionOf(zones[0]) }); i > 0 {
		add("availabilityZones", c.AvailabilityZones, "allowed are zones of one region")
	}
	if !vpcPattern.MatchString(c.VPC.ID) {
		return problems
	}
	if c.AvailabilityZones == "" || c.VPC.FleetSubnets == "" || c.VPC.BalancerSubnets == "" && !c.CloudFront {
		add("vpcId", c.VPC.ID, "only with availabilityZones, fleetSubnets and, without cloudfront=true, balancerSubnets")
	}
	if c.VPC.BalancerSubnets != "" && c.CloudFront {
		add("balancerSubnets", c.VPC.BalancerSubnets, "not with cloudfront=true, whose load balancer is in the fleetSubnets")
	}
	for _, list := range []struct{ key, subnets string }{{"balancerSubnets", c.VPC.BalancerSubnets},
		{"fleetSubnets", c.VPC.FleetSubnets}, {"storeSubnets", c.VPC.StoreSubnets}} {
		if n := len(fields(list.subnets)); n > 1 && len(zones) > 0 && n != len(zones) {
			add(list.key, list.subnets, "allowed is one subnet for each of the availabilityZones (%s), in their order", c.AvailabilityZones)
		}
	}
	return problems
}

// regionOf returns the region of an availability zone.
func regionOf(zone string) string { return zone[:len(zone)-1] }

// fields returns the elements of a list with commas between them, or none of "".
func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// listOf returns a setting that is a list of low to high different elements with commas between them.
func listOf(key string, field *string, fallback string, low, high int, isElement func(string) bool, description string) setting {
	return allowedText(key, field, fallback, description, func(text string) bool {
		elements := strings.Split(text, ",")
		sorted := slices.Sorted(slices.Values(elements))
		return low <= len(elements) && len(elements) <= high && len(slices.Compact(sorted)) == len(elements) &&
			!slices.ContainsFunc(elements, func(e string) bool { return !isElement(e) })
	})
}

// subnetList returns a setting that is a list of subnets.
func subnetList(key string, field *string) setting {
	return listOf(key, field, "", 2, 3, subnetPattern.MatchString, "the ids of 2 or 3 subnets, such as subnet-0123456789abcdef0, each "+
		"once, with commas between them")
}

// isIPv4Range reports whether the text is a range of IPv4 addresses in CIDR notation, without bits after the prefix.
func isIPv4Range(text string) bool {
	prefix, err := netip.ParsePrefix(text)
	return err == nil && prefix.Addr().Is4() && prefix == prefix.Masked()
}
