package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"stateless-servers/session/sessiontest/must"
)

func TestDescriptionsDontRepeatTheDefault(t *testing.T) {
	for _, test := range []struct{ comment, value, want string }{
		{"The tags. There is no default.", "", "The tags."},
		{"A switch. The default is false. Turning it on replaces it.", "false", "A switch. Turning it on replaces it."},
		{"A switch. The default is true, because it costs nothing.", "true", "A switch. The default is true, because it costs nothing."},
		{"A budget. The default is 0: no budget.", "0", "A budget. The default is 0: no budget."},
		{"A switch. The default is true.", "", "A switch. The default is true."},
	} {
		if got := withoutDefault(test.comment, test.value); got != test.want {
			t.Errorf("%q with the default %q becomes %q, want %q", test.comment, test.value, got, test.want)
		}
	}
}

func TestReferenceIsUpToDate(t *testing.T) {
	defer jsii.Close() // ends the Node process that importing the CDK starts
	old := must.Get(os.ReadFile(page))(t)
	next := must.Get(reference())(t)
	if string(old) != next {
		t.Error("docs/configuration.md is out of date: run go generate ./test/reference")
	}
	for _, folder := range []string{"stacks", "app/config"} {
		comments := must.Get(fieldComments(filepath.Join(root, folder)))(t)
		for field := range comments {
			_, name, _ := strings.Cut(field, ".")
			product := name == "CloudFront" || name == "DynamoDB"
			if camelCase.MatchString(name) && !product && regexp.MustCompile(`\b`+name+`\b`).MatchString(next) {
				t.Errorf("docs/configuration.md has the name of the field %s", field)
			}
		}
	}
}
