package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"stateless-servers/app/config/allowed"
	"stateless-servers/lab/cost"
	"stateless-servers/session/sessiontest/process"
)

// A Variant is one way to deploy: a store with its options, or a folder of synthesized templates.
type Variant struct {
	// Name is the store followed by the options that differ from the defaults, such as "dynamodb" or "valkey+shards=2". For
	// templates in a folder it is the path of the folder.
	Name string    `json:"name"`
	Bill cost.Bill `json:"bill"`
	// Retained lists the resources that stay in the account, as they are or as a snapshot, when the stacks are destroyed.
	Retained []ResourceChange `json:"stays"`
	// Measured is the result of a load test on this machine. It is nil if there was none.
	Measured *Measurement `json:"measured,omitempty"`

	templates []cost.Template
}

// VariantSyntax describes the allowed names of variants, for error messages.
func VariantSyntax() string {
	return allowed.JoinOr(Stores()) + ", with options of the CDK after a + each, such as valkey+shards=2, or a folder that cdk synth has written"
}

// contextArguments returns the arguments of cdk synth that select the variant with that name. It checks their form only;
// the CDK app checks keys and values.
func contextArguments(name string) ([]string, error) {
	store, rest, _ := strings.Cut(name, "+")
	if store == "" || strings.ContainsAny(store, "= /") {
		return nil, fmt.Errorf("variant %q: allowed is %s", name, VariantSyntax())
	}
	list := []string{"-c", "store=" + store}
	if store == "memory" {
		list = append(list, "-c", "sticky=true") // the stacks refuse memory without sticky sessions
	}
	if rest != "" {
		for option := range strings.SplitSeq(rest, "+") {
			if key, value, found := strings.Cut(option, "="); !found || key == "" || value == "" {
				return nil, fmt.Errorf("variant %q: %q is not of the form key=value; allowed is %s", name, option, VariantSyntax())
			}
			list = append(list, "-c", option)
		}
	}
	return list, nil
}

// CheckVariant returns an error unless the name has the form of a store with options.
func CheckVariant(name string) error {
	_, err := contextArguments(name)
	return err
}

// A Synthesizer runs the pinned CDK to make the templates of variants, offline and without credentials.
type Synthesizer struct {
	root, folder, app, cdk string
	configuration          string // see Configuration
}

// NewSynthesizer compiles the CDK app of the module in the folder root. It needs Node and the packages that npm ci installs.
// The variants belong to the named configuration, or to none if the name is empty: see Configuration. Progress is called with a line for each slow step. The caller must call Close to remove the temporary files.
func NewSynthesizer(ctx context.Context, root, configuration string, progress func(line string)) (*Synthesizer, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	s := &Synthesizer{root: root, configuration: configuration, cdk: filepath.Join(root, "node_modules", ".bin", "cdk")}
	for _, path := range []string{"node_modules/.bin/cdk", diffPackage} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			return nil, fmt.Errorf("%s is missing: npm ci installs it (lab cost needs neither Node nor the CDK)", path)
		}
	}
	if _, err := exec.LookPath("node"); err != nil {
		return nil, errors.New("node is missing: https://nodejs.org has versions 22 and 24 (lab cost needs neither Node nor the CDK)")
	}
	folder, err := os.MkdirTemp("", "stateless-servers-compare-")
	if err != nil {
		return nil, err
	}
	s.folder, s.app = folder, filepath.Join(folder, "cdk-app")
	if runtime.GOOS == "windows" {
		s.app += ".exe"
	}
	progress("Building the CDK app; this and the first synthesis take some minutes the first time")
	if _, err := s.run(ctx, "go", "build", "-o", s.app, "."); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close removes the compiled app and all synthesized templates.
func (s *Synthesizer) Close() error { return os.RemoveAll(s.folder) }

// Synthesize returns the templates of the variant with that name. If the CDK app refuses a context value, the error is the
// line in which it says so.
func (s *Synthesizer) Synthesize(ctx context.Context, name string) ([]cost.Template, error) {
	context, err := contextArguments(name)
	if err != nil {
		return nil, err
	}
	output, err := s.newOutputFolder()
	if err != nil {
		return nil, err
	}
	if s.configuration != "" {
		if context, err = inConfiguration(output, s.configuration, context); err != nil {
			return nil, err
		}
	}
	list := append([]string{"synth", "--quiet", "--no-lookups", "--no-notices", "--output", output, "--app", s.app}, context...)
	if output, err := s.run(ctx, s.cdk, list...); err != nil {
		if problem := firstLineWithPrefix(output, "context "); problem != "" {
			return nil, fmt.Errorf("%s: %s", name, problem)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return cost.ReadAssembly(output)
}

// newOutputFolder makes a folder for the templates of one variant. It has a random name because the variant's name may
// contain characters that a file name can't.
func (s *Synthesizer) newOutputFolder() (string, error) { return os.MkdirTemp(s.folder, "variant-") }

// run runs a program in the folder of the module and returns the end of its output.
func (s *Synthesizer) run(ctx context.Context, program string, arguments ...string) (string, error) {
	name := filepath.Base(program) + " " + arguments[0]
	started, err := process.Start(process.Command{
		Name: name, Path: program, Args: arguments, Dir: s.root,
		Env: append(cdkEnvironment(os.Environ()), "TMPDIR="+s.folder), // a killed program leaves its temporary files behind
	})
	if err != nil {
		return "", err
	}
	select {
	case <-started.Done():
	case <-ctx.Done():
		started.Kill()
		return "", fmt.Errorf("%s: %w", name, ctx.Err())
	}
	if started.ExitCode() != 0 {
		return started.Tail(), started.Ended()
	}
	return started.Tail(), nil
}

// cdkEnvironment returns the environment for the CDK: the lab's, without the variables that name an AWS account or change
// the synthesized templates.
func cdkEnvironment(lab []string) []string {
	variables := slices.DeleteFunc(slices.Clone(lab), func(variable string) bool {
		return strings.HasPrefix(variable, "AWS_") || strings.HasPrefix(variable, "CDK_")
	})
	return append(variables, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"CDK_DISABLE_CLI_TELEMETRY=true", "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1",
		// Validating takes most of the time and isn't needed to compare. A deployment does validate.
		"CDK_VALIDATION=false")
}

// firstLineWithPrefix returns the first line of text with the prefix, without surrounding space, or "".
func firstLineWithPrefix(text, prefix string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}
