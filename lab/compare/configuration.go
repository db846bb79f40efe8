package compare

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stateless-servers/lab/cost"
)

const (
	// production is the option that the stacks accept in the file of a named configuration only.
	production = "stage=production"
	// productionName is the name of a configuration for variants in production.
	productionName = "compare"
	// anyCertificate is the certificate of variants in production that don't say how they get HTTPS, which the stacks require.
	anyCertificate = "arn:aws:acm:us-east-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"
)

// Configuration returns the name of the configuration for the variants that a Synthesizer makes, or "" for none. All variants
// get the same name, since the names of resources contain it and would differ otherwise. If a folder has templates of a named
// configuration, they determine the name.
func Configuration(variants []string, folders map[string][]cost.Template) string {
	for _, variant := range variants {
		for _, t := range folders[variant] {
			if name, found := strings.CutSuffix(t.Name, "-Lab"); found {
				return name
			}
		}
	}
	for _, variant := range variants {
		if _, isFolder := folders[variant]; !isFolder && slices.Contains(strings.Split(variant, "+"), production) {
			return productionName
		}
	}
	return ""
}

// inConfiguration moves the option for production from the arguments of cdk synth to the file of a configuration in the
// folder, and returns the arguments that select the file.
func inConfiguration(folder, name string, arguments []string) ([]string, error) {
	keys := map[string]string{}
	if i := slices.Index(arguments, production); i > 0 {
		arguments = slices.Delete(slices.Clone(arguments), i-1, i+1)
		keys["stage"] = "production"
		isHTTPS := func(argument string) bool {
			key, _, _ := strings.Cut(argument, "=")
			return key == "certificateArn" || key == "domain" || key == "cloudfront"
		}
		if !slices.ContainsFunc(arguments, isHTTPS) {
			keys["certificateArn"] = anyCertificate
		}
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, name+".json")
	return append([]string{"-c", "config=" + file}, arguments...), os.WriteFile(file, text, 0o600)
}

// unnamedStack returns the name that a stack has without a named configuration: StatelessLab for NAME-Lab.
func unnamedStack(name string) string {
	for _, stack := range []string{networkStack, labStack, loadStack} {
		if strings.HasSuffix(name, "-"+strings.TrimPrefix(stack, stackPrefix)) {
			return stack
		}
	}
	return name
}
