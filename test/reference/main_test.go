package main

import (
	"os"
	"testing"

	"github.com/aws/jsii-runtime-go"
)

func TestReferenceIsUpToDate(t *testing.T) {
	defer jsii.Close() // ends the Node process that importing the CDK starts
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	next, err := reference()
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != next {
		t.Error("docs/configuration.md is out of date: run go generate ./test/reference")
	}
}
