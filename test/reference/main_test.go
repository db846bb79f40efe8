package main

import (
	"os"
	"testing"

	"github.com/aws/jsii-runtime-go"
)

func TestTheReferenceIsUpToDate(t *testing.T) {
	defer jsii.Close() // what importing the CDK leaves behind
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	next, err := reference()
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != next {
		t.Error("docs/configuration.md is out of date: go generate ./test/reference")
	}
}
