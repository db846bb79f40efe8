package compare

import (
	"bytes"
	"context"
	_ "embed" // for diffScript
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

//go:embed diff.js
var diffScript string

// diffPackage is the folder of the library that cdk diff uses too. diffScript loads it.
const diffPackage = "node_modules/@aws-cdk/cloudformation-diff"

// A Pair describes what CloudFormation does when a deployed variant is updated to another one.
type Pair struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Added resources are created. Removed resources leave the stack; those in Retained as well stay in the account, as they
	// are or as a snapshot.
	Added    []ResourceChange `json:"added"`
	Removed  []ResourceChange `json:"removed"`
	Retained []ResourceChange `json:"kept"`
	// Replaced resources are created anew and lose their contents. For MaybeReplaced it depends on the new value of a
	// property. Updated resources are changed in place.
	Replaced      []ResourceChange `json:"replaced"`
	MaybeReplaced []ResourceChange `json:"may_be_replaced"`
	Updated       []ResourceChange `json:"updated"`
	// Permissions lists IAM statements, Network rules of security groups, each as one line of text.
	Permissions ListDiff `json:"permissions"`
	Network     ListDiff `json:"network"`
	// USD is the monthly cost of To minus that of From.
	USD float64 `json:"usd_per_month"`
}

// A ResourceChange names a resource that differs between two variants.
type ResourceChange struct {
	Stack string `json:"stack"`
	ID    string `json:"id"` // logical
	Type  string `json:"type"`
	// Properties lists the properties that differ. For a replaced resource it lists only those that cause the replacement.
	Properties []string `json:"properties,omitempty"`
	// Policy is the DeletionPolicy of a retained resource.
	Policy string `json:"policy,omitempty"`
}

// A ListDiff has the lines that only the new variant has (Added), and those that only the old one has (Removed).
type ListDiff struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
}

// Compare adds the differences of every pair of variants, in both directions. They agree with cdk diff without change sets;
// AWS is not asked. Root is the folder of the module, whose node_modules has diffPackage.
func (r *Report) Compare(ctx context.Context, root string) error {
	type variant struct {
		Name      string                     `json:"name"`
		Templates map[string]json.RawMessage `json:"templates"` // by stack
	}
	var variants []variant
	bills := map[string]float64{}
	for _, v := range r.Variants {
		templates := map[string]json.RawMessage{}
		for _, t := range v.templates {
			templates[unnamedStack(t.Name)] = t.Whole // so that stacks of different configurations are compared
		}
		variants = append(variants, variant{v.Name, templates})
		bills[v.Name] = v.Bill.Total
	}
	input, err := json.Marshal(variants)
	if err != nil {
		return fmt.Errorf("writing the templates to compare: %w", err)
	}
	var output, problems bytes.Buffer
	command := exec.CommandContext(ctx, "node", "--eval", diffScript) // #nosec G204 -- the script above
	command.Dir, command.Env = root, cdkEnvironment(os.Environ())
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &output, &problems
	if err := command.Run(); err != nil {
		return fmt.Errorf("comparing templates: %w: %s", err, bytes.TrimSpace(problems.Bytes()))
	}
	if err := json.Unmarshal(output.Bytes(), &r.Pairs); err != nil {
		return fmt.Errorf("reading the differences of the templates: %w", err)
	}
	for i, p := range r.Pairs {
		r.Pairs[i].USD = bills[p.To] - bills[p.From]
	}
	return nil
}
