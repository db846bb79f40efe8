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
