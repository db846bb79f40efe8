// The CDK app: reads the context, builds the programs, and synthesizes the stacks. "npx cdk" runs it; see cdk.json.
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
	os.Stderr = nil // jsii waits for its Node process in two places, and the second one complains there about nothing
	jsii.Close()
	if err != nil {
		fmt.Fprintln(stderr, err)
		os.Exit(1)
	}
}
