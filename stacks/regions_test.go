package stacks

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckRegion(t *testing.T) {
	replicated := map[string]any{"replicas": "eu-west-1,us-east-1"}
	accelerated := map[string]any{"dax": "true"}
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
	} {
		c, err := ParseConfig(test.context)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := c.CheckRegion(test.region); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v in %s: got %s, want %s", test.context, test.region, got, test.want)
		}
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
