// The CDK app: reads the context, builds the programs, and synthesizes the stacks. "npx cdk" runs it; see cdk.json.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/stacks"
)

func main() {
	err := synthesize(context.Background())
	stderr := os.Stderr
	os.Stderr = nil // jsii waits for its Node process in two places, and the second one complains there about nothing
	jsii.Close()
	if err != nil {
		fmt.Fprintln(stderr, err)
		os.Exit(1)
	}
}

func synthesize(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	server := stacks.StartBuild(ctx, ".", "./app", ".build/server.bin") // while the CDK starts its Node process
	defer server.Wait(io.Discard)
	defer cancel()
	app := awscdk.NewApp(nil)
	config, err := stacks.ParseConfig(app.Node().GetAllContext(nil).(map[string]any))
	if err != nil {
		return err
	}
	if err := config.CheckRegion(os.Getenv("CDK_DEFAULT_REGION")); err != nil { // of the credentials, if there are any
		return err
	}
	config.Warn(os.Stderr)
	var programs stacks.Programs
	programs.Server, err = server.Wait(os.Stderr)
	if err == nil && config.Load.Loaders > 0 {
		programs.Lab, err = stacks.Build(ctx, os.Stderr, ".", "./lab", ".build/lab.bin")
	}
	if err != nil {
		return err
	}
	stacks.New(app, config, programs)
	app.Synth(nil)
	return nil
}
