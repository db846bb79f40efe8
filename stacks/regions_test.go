package stacks

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/regioninfo"

	"stateless-servers/session/sessiontest/must"
)

func TestCheckRegion(t *testing.T) {
	replicated := map[string]any{"replicas": "eu-west-1,us-east-1"}
	accelerated := map[string]any{"dax": "true"}
	distributed := map[string]any{"cloudfront": "true"}
	certified := map[string]any{"certificateArn": certificate}
	zoned := map[string]any{"availabilityZones": "eu-west-1a,eu-west-1c"}
	for _, test := range []struct {
		context map[string]any
		region  string
		want    string
	}{
		{nil, "eu-west-1", ""},
		{replicated, "eu-central-1", ""},
		{replicated, "", ""}, // the region is unknown
		{replicated, "us-east-1", `context replicas="eu-west-1,us-east-1": allowed are regions other than us-east-1, ` +
			`which the lab is deployed to`},
		{accelerated, "eu-west-1", ""},
		{accelerated, "", ""},
		{accelerated, "me-south-1", `context dax="true": DAX is not available in me-south-1; allowed are ` +
			strings.Join(daxRegions(), ", ")},
		{distributed, "eu-north-1", ""},
		{distributed, "", ""},
		{distributed, "eu-south-1", `context cloudfront="true": CloudFront can't write its logs to eu-south-1; allowed are ` +
			strings.Join(cloudFrontRegions(), ", ")},
		{certified, "eu-central-1", ""},
		{certified, "", ""},
		{certified, "us-east-1", `context certificateArn="` + certificate + `": the certificate is in eu-central-1, and the lab in ` +
			`us-east-1, where the load balancer can't use it`},
		{zoned, "eu-west-1", ""},
		{zoned, "", ""},
		{zoned, "eu-west-2", `context availabilityZones="eu-west-1a,eu-west-1c": allowed are zones of eu-west-2, which the lab is deployed to`},
	} {
		c := must.Get(ParseConfig(test.context))(t)
		got := ""
		if err := c.CheckRegion(test.region); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v in %s: got %s, want %s", test.context, test.region, got, test.want)
		}
	}
}

// CloudFormation makes the checks too, because a synthesis may not know its region.
func TestRulesAboutTheRegion(t *testing.T) {
	for id, test := range map[string]struct {
		keys    map[string]any
		allowed []string
	}{
		"CloudFrontLogsHere": {map[string]any{"cloudfront": "true"}, cloudFrontRegions()},
		"CertificateIsHere":  {map[string]any{"certificateArn": certificate}, []string{"eu-central-1"}},
		"ZonesAreHere":       {map[string]any{"availabilityZones": "eu-west-1a,eu-west-1c"}, []string{"eu-west-1"}},
	} {
		_, lab := synth(t, test.keys)
		contains := dig(t, *lab.ToJSON(), "Rules", id, "Assertions", 0, "Assert", "Fn::Contains")
		var regions []string
		for _, region := range dig(t, contains, 0).([]any) {
			regions = append(regions, region.(string))
		}
		if !slices.Equal(regions, test.allowed) || dig(t, contains, 1, "Ref") != "AWS::Region" {
			t.Errorf("%s is %v, want that the region is one of %v", id, contains, test.allowed)
		}
		_, lab = synth(t, nil)
		if rules := dig(t, *lab.ToJSON(), "Rules").(map[string]any); rules[id] != nil {
			t.Errorf("the default has the rule %s", id)
		}
	}
}

// The regions for CloudFront are those of the partition aws without an opt-in.
func TestRegionsOfCloudFront(t *testing.T) {
	var want []string
	for _, info := range *regioninfo.RegionInfo_Regions() {
		if *info.Partition() == "aws" && !*info.IsOptInRegion() {
			want = append(want, *info.Name())
		}
	}
	slices.Sort(want)
	if got := cloudFrontRegions(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRegionsOfDAXExist(t *testing.T) {
	if unknown := unknownRegions(daxRegions()); len(unknown) > 0 {
		t.Errorf("unknown regions %v", unknown)
	}
	if !slices.IsSorted(daxRegions()) {
		t.Error("the regions are not sorted")
	}
	if got := unknownRegions([]string{"eu-west-1", "eu-west-9"}); !slices.Equal(got, []string{"eu-west-9"}) {
		t.Errorf("unknown regions %v, want eu-west-9", got)
	}
}
