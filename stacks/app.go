package stacks

import (
	"context"
	"io"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
)

// Synthesize compiles the programs of the module in the working directory, defines the stacks for the configuration in the
// CDK context, and writes their templates. Warnings and the compiler's output go to log.
func Synthesize(ctx context.Context, log io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	server := StartBuild(ctx, ".", "./app", ".build/server.bin") // while the CDK starts its Node process
	defer server.Wait(io.Discard)
	defer cancel()
	app := awscdk.NewApp(nil)
	c, err := ParseConfig(app.Node().GetAllContext(nil).(map[string]any))
	if err != nil {
		return err
	}
	if err := c.CheckRegion(os.Getenv("CDK_DEFAULT_REGION")); err != nil { // empty without credentials
		return err
	}
	c.Warn(log)
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
	return nil
}

// Programs holds the paths of the compiled programs: see Build.
type Programs struct {
	Server string
	Lab    string // empty without loaders
}

// Define adds the stacks of the Config to the app, and the guardrails that check their templates.
func Define(app awscdk.App, c Config, programs Programs) {
	network := NewNetwork(app, "StatelessNetwork", &NetworkProps{Config: c})
	lab := NewLab(app, "StatelessLab", &LabProps{Config: c, Vpc: network.Vpc, ServerBinary: programs.Server})
	if c.Load.Loaders > 0 {
		NewLoad(app, "StatelessLoad", &LoadProps{Vpc: network.Vpc, Lab: lab, Config: c.Load, Protect: c.Protect,
			Program: programs.Lab})
	}
	awscdk.Validations_Of(app).AddPlugins(&Guardrails{Store: c.Store})
}
