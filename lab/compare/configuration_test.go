package compare

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stateless-servers/lab/cost"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

func TestConfiguration(t *testing.T) {
	folders := map[string][]cost.Template{"unnamed": {{Name: labStack}, {Name: networkStack}},
		"named": {{Name: "eu-Lab"}, {Name: "eu-Network"}}}
	for want, variants := range map[string][]string{
		"":             {"valkey", "unnamed", "dynamodb+stage=lab"},
		productionName: {"valkey", "unnamed", "dynamodb+zones=3+stage=production"},
		"eu":           {"valkey+stage=production", "unnamed", "named"},
	} {
		if got := Configuration(variants, folders); got != want {
			t.Errorf("%v: got the configuration %q, want %q", variants, got, want)
		}
	}
	for name, want := range map[string]string{"eu-Lab": labStack, "a-b-Network": networkStack, "eu-Load": loadStack, labStack: labStack,
		"Other": "Other", "Lab": "Lab"} {
		if got := unnamedStack(name); got != want {
			t.Errorf("the stack %s is compared as %s, want %s", name, got, want)
		}
	}
}

func TestProductionIsInAFile(t *testing.T) {
	for name, want := range map[string]string{
		"valkey+stage=production":                                        `-c config=F -c store=valkey {"certificateArn":"` + anyCertificate + `","stage":"production"}`,
		"valkey+stage=production+shards=2+cloudfront=true":               `-c config=F -c store=valkey -c shards=2 -c cloudfront=true {"stage":"production"}`,
		"token+domain=a.example.com+hostedZoneId=Z1+" + production:       `-c config=F -c store=token -c domain=a.example.com -c hostedZoneId=Z1 {"stage":"production"}`,
		"postgres+stage=production+certificateArn=arn:aws:acm:x:1:y/0-0": `-c config=F -c store=postgres -c certificateArn=arn:aws:acm:x:1:y/0-0 {"stage":"production"}`,
		"valkey+stage=lab": `-c config=F -c store=valkey -c stage=lab {}`,
	} {
		arguments := must.Get(contextArguments(name))(t)
		folder := t.TempDir()
		got := must.Get(inConfiguration(folder, "eu", arguments))(t)
		file := filepath.Join(folder, "eu.json")
		text := must.Get(os.ReadFile(file))(t)
		if got := strings.ReplaceAll(strings.Join(got, " "), file, "F") + " " + string(text); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
	}
}

// A lab and production are variants of one deployment: their difference has no names in it.
func TestCompareWithProduction(t *testing.T) {
	sessiontest.Long(t)
	s := must.Get(NewSynthesizer(t.Context(), root, productionName, func(string) {}))(t)
	defer s.Close()
	synthesize := func(name string) []cost.Template {
		return must.Get(s.Synthesize(t.Context(), name))(t)
	}
	p, _ := pairs(t, synthesize("valkey"), synthesize("valkey+stage=production"))
	for _, change := range p.changes() {
		if strings.Contains(change, "AWS::ElastiCache::User ") || strings.HasPrefix(change, "! ") {
			t.Errorf("production differs by %s", change)
		}
	}
	if len(p.Updated) == 0 || p.Updated[0].Stack != labStack && p.Updated[0].Stack != networkStack {
		t.Errorf("got %+v, want changes of %s and %s", p.Updated, labStack, networkStack)
	}
	if _, err := s.Synthesize(t.Context(), "valkey+stage=production+zones=9"); err == nil ||
		!strings.HasPrefix(err.Error(), `valkey+stage=production+zones=9: context zones="9": allowed is `) {
		t.Errorf("got the error %v, want one line about the context value", err)
	}
}
