package compare

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stateless-servers/lab/cost"
)

// Stores returns the names of the stores that the CDK can deploy, the default first.
func Stores() []string {
	return []string{"dynamodb", "valkey", "redis", "memcached", "postgres", "cookie", "token", "memory"}
}

// The names of the stacks without a named configuration, and of the checked-in template of the network's stack with default
// options.
const (
	stackPrefix     = "Stateless"
	networkStack    = stackPrefix + "Network"
	labStack        = stackPrefix + "Lab"
	loadStack       = stackPrefix + "Load"
	networkTemplate = "network-lab-2-zones-nat-gateway"
)

// DefaultTemplates reads the checked-in templates of a store with default options. Root is the folder of the module. The
// tests of package stacks keep these templates up to date, so that neither Node nor the CDK is needed here.
func DefaultTemplates(root, store string) ([]cost.Template, error) {
	if !slices.Contains(Stores(), store) {
		return nil, fmt.Errorf("variant %q: allowed is one of %s, or a folder that cdk synth has written", store,
			strings.Join(Stores(), ", "))
	}
	var templates []cost.Template
	for _, of := range []struct{ stack, file string }{{networkStack, networkTemplate}, {labStack, store}} {
		t, err := cost.ReadTemplate(filepath.Join(root, "stacks", "testdata", of.file+".json"), of.stack)
		if err != nil {
			return nil, err
		}
		templates = append(templates, t)
	}
	return templates, nil
}
