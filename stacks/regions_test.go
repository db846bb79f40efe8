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
		{replicated, "", ""}, // nobody knows yet
		{replicated, "us-east-1", `context replicas="eu-west-1,us-east-1": allowed are other regions than us-east-1, ` +
			`which the lab is deployed to`},
		{accelerated, "eu-west-1", ""},
		{accelerated, "", ""},
		{accelerated, "me-south-1", `context dax="true": there is no DAX in me-south-1; allowed are ` +
			strings.Join(daxRegions(), ", ")},
	} {
		c, err := ParseConfig(test.context)
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		if err := c.CheckRegion(test.region); err != nil {
			said = err.Error()
		}
		if said != test.want {
			t.Errorf("%v in %s: got %s, want %s", test.context, test.region, said, test.want)
		}
	}
}

func TestRegionsOfDAXExist(t *testing.T) {
	if unknown := unknownRegions(daxRegions()); len(unknown) > 0 {
		t.Errorf("AWS has no %v", unknown)
	}
	if !slices.IsSorted(daxRegions()) {
		t.Error("not in order")
	}
	if got := unknownRegions([]string{"eu-west-1", "eu-west-9"}); !slices.Equal(got, []string{"eu-west-9"}) {
		t.Errorf("unknown are %v", got)
	}
}
