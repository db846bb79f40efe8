// Command stateless-servers is the CDK app. It reads the CDK context, compiles the programs that the instances run, and
// synthesizes the stacks of package stacks. "npx cdk" runs it: see cdk.json.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/jsii-runtime-go"

	"stateless-servers/stacks"
)

func main() {
	err := stacks.Synthesize(context.Background(), os.Stderr)
	stderr := os.Stderr
	os.Stderr = nil // jsii waits for its Node process twice, and prints a needless complaint the second time
	jsii.Close()
	if err != nil {
		fmt.Fprintln(stderr, err)
		os.Exit(1)
	}
}
