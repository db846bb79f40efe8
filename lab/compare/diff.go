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

// diffPackage is the folder of the library behind cdk diff, which diffScript loads.
const diffPackage = "node_modules/@aws-cdk/cloudformation-diff"

// A Pair is what CloudFormation does to get from one variant to another.
type Pair struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Added and Removed are created and deleted. Of what is removed, Kept stays in the account: whole, or as a snapshot.
	Added   []Change `json:"added"`
	Removed []Change `json:"removed"`
	Kept    []Change `json:"kept"`
	// Replaced are made anew, and MayBeReplaced depending on what changes in them. Updated are changed in place.
	Replaced      []Change `json:"replaced"`
	MayBeReplaced []Change `json:"may_be_replaced"`
	Updated       []Change `json:"updated"`
	// Permissions are IAM statements, Network are rules of security groups, and both as text.
	Permissions Texts `json:"permissions"`
	Network     Texts `json:"network"`
	// USD is how much more the second costs a month.
	USD float64 `json:"usd_per_month"`
}

// A Change is a resource that differs.
type Change struct {
	Stack string `json:"stack"`
	ID    string `json:"id"` // logical
	Type  string `json:"type"`
	// Properties are those that differ, or cause the replacement.
	Properties []string `json:"properties,omitempty"`
	// Policy is the DeletionPolicy of what is kept.
	Policy string `json:"policy,omitempty"`
}

// Texts are what comes and what goes.
type Texts struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
}

// Compare adds every pair of variants, in both directions, as cdk diff finds them without asking AWS. Root is the folder of
// the module, whose node_modules has diffPackage.
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
			templates[t.Name] = t.Whole
		}
		variants = append(variants, variant{v.Name, templates})
		bills[v.Name] = v.Bill.Total
	}
	input, err := json.Marshal(variants)
	if err != nil {
		return fmt.Errorf("writing the templates to compare: %w", err)
	}
	var output, said bytes.Buffer
	command := exec.CommandContext(ctx, "node", "--eval", diffScript) // #nosec G204 -- the script above
	command.Dir, command.Env = root, environment(os.Environ())
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &output, &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("comparing templates: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	if err := json.Unmarshal(output.Bytes(), &r.Pairs); err != nil {
		return fmt.Errorf("reading how templates differ: %w", err)
	}
	for i, p := range r.Pairs {
		r.Pairs[i].USD = bills[p.To] - bills[p.From]
	}
	return nil
}
