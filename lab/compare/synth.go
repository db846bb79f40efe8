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

	"stateless-servers/lab/cost"
	"stateless-servers/session/sessiontest/process"
)

// A Variant is one way to deploy.
type Variant struct {
	// Name is the store, and the options that differ from the defaults: "dynamodb", "valkey+shards=2".
	Name string    `json:"name"`
	Bill cost.Bill `json:"bill"`
	// Stays are the resources of which something stays when the stacks are destroyed.
	Stays []Change `json:"stays"`
	// Measured is what a load test on this machine found; nil without one.
	Measured *Measured `json:"measured,omitempty"`

	templates []cost.Template
}

// VariantPattern says what ParseVariant reads.
const VariantPattern = "a store, with options after a + each, such as dynamodb or valkey+shards=2, or a folder that cdk synth " +
	"has written"

// arguments are those of the CDK for a variant's name: its context. The CDK itself knows which are allowed.
func arguments(name string) ([]string, error) {
	store, rest, _ := strings.Cut(name, "+")
	if store == "" || strings.ContainsAny(store, "= /") {
		return nil, fmt.Errorf("variant %q: allowed is %s", name, VariantPattern)
	}
	list := []string{"-c", "store=" + store}
	if store == "memory" {
		list = append(list, "-c", "sticky=true") // it goes with nothing else
	}
	if rest != "" {
		for option := range strings.SplitSeq(rest, "+") {
			if key, value, found := strings.Cut(option, "="); !found || key == "" || value == "" {
				return nil, fmt.Errorf("variant %q: %q is no key=value; allowed is %s", name, option, VariantPattern)
			}
			list = append(list, "-c", option)
		}
	}
	return list, nil
}

// CheckVariant reports whether the name has the form of a variant.
func CheckVariant(name string) error {
	_, err := arguments(name)
	return err
}

// A Synthesizer makes the templates of variants with the pinned CDK, offline and without credentials.
type Synthesizer struct {
	root, folder, app, cdk string
}

// NewSynthesizer compiles the CDK app of the module in root. Close removes what it and its templates took.
func NewSynthesizer(ctx context.Context, root string, progress func(line string)) (*Synthesizer, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	s := &Synthesizer{root: root, cdk: filepath.Join(root, "node_modules", ".bin", "cdk")}
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
	progress("Building the CDK app")
	if _, err := s.run(ctx, "go", "build", "-o", s.app, "."); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close removes the templates.
func (s *Synthesizer) Close() error { return os.RemoveAll(s.folder) }

// Synthesize returns the templates of a variant.
func (s *Synthesizer) Synthesize(ctx context.Context, name string) ([]cost.Template, error) {
	context, err := arguments(name)
	if err != nil {
		return nil, err
	}
	output, err := s.output()
	if err != nil {
		return nil, err
	}
	list := append([]string{"synth", "--quiet", "--no-lookups", "--no-notices", "--output", output, "--app", s.app}, context...)
	if said, err := s.run(ctx, s.cdk, list...); err != nil {
		if refused := lineWith(said, "context "); refused != "" {
			return nil, fmt.Errorf("%s: %s", name, refused)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return cost.ReadAssembly(output)
}

// output is a new folder for the templates of a variant, whose name may be no name of a file.
func (s *Synthesizer) output() (string, error) { return os.MkdirTemp(s.folder, "variant-") }

// run runs a program in the module and returns the end of what it said.
func (s *Synthesizer) run(ctx context.Context, program string, arguments ...string) (string, error) {
	name := filepath.Base(program) + " " + arguments[0]
	started, err := process.Start(process.Command{
		Name: name, Path: program, Args: arguments, Dir: s.root,
		Env: append(environment(os.Environ()), "TMPDIR="+s.folder), // what is killed leaves its temporary files
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

// environment is what the CDK gets of the lab's own: nothing that could lead it to an account, or that would change what it
// synthesizes.
func environment(own []string) []string {
	kept := slices.DeleteFunc(slices.Clone(own), func(variable string) bool {
		return strings.HasPrefix(variable, "AWS_") || strings.HasPrefix(variable, "CDK_")
	})
	return append(kept, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"CDK_DISABLE_CLI_TELEMETRY=true", "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1",
		// Comparing needs no guardrails, and they take most of the time. Deploying has them.
		"CDK_VALIDATION=false")
}

// lineWith is the first line that begins so.
func lineWith(text, beginning string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, beginning) {
			return line
		}
	}
	return ""
}
