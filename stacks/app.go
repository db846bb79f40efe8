package stacks

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

// Synthesize compiles the programs of the module in the working directory, defines the stacks for the configuration in the
// CDK context, and writes their templates. Warnings and the compiler's output go to log.
func Synthesize(ctx context.Context, log io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	sample, cancelSample := context.WithCancel(ctx)
	server := StartBuild(sample, ".", sampleServer, serverBinary) // while the CDK starts its Node process
	defer func() { server.Wait(io.Discard) }()
	defer cancelSample()
	defer cancel()
	app := awscdk.NewApp(nil)
	// The region is empty without credentials.
	c, err := ReadConfig(ctx, app.Node().GetAllContext(nil).(map[string]any), os.Getenv("CDK_DEFAULT_REGION"))
	if err != nil {
		return err
	}
	c.Warn(log)
	if c.Server != sampleServer {
		cancelSample()
		server.Wait(io.Discard)
		server = StartBuild(ctx, c.Server, ".", serverBinary)
	}
	var programs Programs
	programs.Server, err = server.Wait(log)
	if err == nil && c.Load.Loaders > 0 {
		programs.Lab, err = Build(ctx, log, ".", "./lab", ".build/lab.bin")
	}
	if err != nil {
		return err
	}
	Define(app, c, programs)
	app.Synth(nil)
	if os.Getenv("CDK_CLI_VERSION") != "" && os.Getenv("CDK_DEFAULT_ACCOUNT") == "" {
		fmt.Fprintln(log, "There are no AWS credentials, which cdk diff and cdk deploy need. go run ./lab compare shows the differences without them.")
	}
	return nil
}

// Programs holds the paths of the compiled programs: see Build.
type Programs struct {
	Server string
	Lab    string // empty without loaders
}

// Define adds the stacks of the Config to the app, and the guardrails that check their templates.
func Define(app awscdk.App, c Config, programs Programs) {
	labProps := &LabProps{Config: c, ServerBinary: programs.Server}
	var stacks []awscdk.Stack
	if c.VPC.ID == "" {
		network := NewNetwork(app, c.stackName("Network"), &NetworkProps{Config: c})
		labProps.Vpc, labProps.Subnets = network.Vpc, groupSubnets()
		stacks = append(stacks, network.Stack)
	}
	lab := NewLab(app, c.stackName("Lab"), labProps)
	stacks = append(stacks, lab.Stack)
	if c.Load.Loaders > 0 {
		stacks = append(stacks, NewLoad(app, c.stackName("Load"), &LoadProps{Vpc: lab.Vpc, Subnets: groupSubnets().Fleet,
			Lab: lab.Stack, Config: c.Load, Protect: c.Protect, Program: programs.Lab}))
	}
	c.govern(app, stacks...)
	awscdk.Validations_Of(app).AddPlugins(&Guardrails{Store: c.Store})
}
