package compare

import (
	"bytes"
	"context"
	_ "embed" // for diffScript
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"stateless-servers/lab/cost"
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
	// Sessions says what the update does to the sessions.
	Sessions Outcome `json:"sessions"`
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
	templates := map[string][]cost.Template{}
	var updates []Update
	bills := map[string]float64{}
	for _, from := range r.Variants {
		templates[from.Name], bills[from.Name] = from.templates, from.Bill.Total
		for _, to := range r.Variants {
			if from.Name != to.Name {
				updates = append(updates, Update{from.Name, to.Name})
			}
		}
	}
	var err error
	if r.Pairs, err = Differences(ctx, root, templates, updates); err != nil {
		return err
	}
	for i, p := range r.Pairs {
		r.Pairs[i].USD = bills[p.To] - bills[p.From]
	}
	return nil
}

// An Update is an update of one variant to another, by their names.
type Update struct{ From, To string }

// Differences returns the Pair of each update. Templates holds the templates of the variants by name. Root is the folder of the
// module, whose node_modules has diffPackage.
func Differences(ctx context.Context, root string, templates map[string][]cost.Template, updates []Update) ([]Pair, error) {
	type variant struct {
		Name      string                     `json:"name"`
		Templates map[string]json.RawMessage `json:"templates"` // by stack
	}
	var input struct {
		Variants []variant `json:"variants"`
		Pairs    [][2]int  `json:"pairs"`
	}
	indexes := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		v := variant{name, map[string]json.RawMessage{}}
		for _, t := range templates[name] {
			v.Templates[unnamedStack(t.Name)] = t.Whole // so that stacks of different configurations are compared
		}
		indexes[name] = len(input.Variants)
		input.Variants = append(input.Variants, v)
	}
	for _, u := range updates {
		input.Pairs = append(input.Pairs, [2]int{indexes[u.From], indexes[u.To]})
	}
	text, err := json.Marshal(input)
	if err != nil {
		return nil, fmt.Errorf("writing the templates to compare: %w", err)
	}
	var output, problems bytes.Buffer
	command := exec.CommandContext(ctx, "node", "--eval", diffScript) // #nosec G204 -- the script above
	command.Dir, command.Env = root, cdkEnvironment(os.Environ())
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(text), &output, &problems
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("comparing templates: %w: %s", err, bytes.TrimSpace(problems.Bytes()))
	}
	var pairs []Pair
	if err := json.Unmarshal(output.Bytes(), &pairs); err != nil {
		return nil, fmt.Errorf("reading the differences of the templates: %w", err)
	}
	return pairs, nil
}

// An Outcome describes what an update does to the sessions of visitors.
type Outcome struct {
	Result Result `json:"result"`
	// Causes lists the logical ids of the resources that cause it, and URL for the address of the application.
	Causes []string `json:"causes"`
}

// A Result is the worst that happens to sessions.
type Result string

// The results, from the best to the worst.
const (
	// SessionsKept means that every session goes on.
	SessionsKept Result = "kept"
	// SomeSessionsLost means that nodes without copies share the sessions anew: those that move to another node are lost.
	SomeSessionsLost Result = "some-lost"
	// NewAddress means that the application has another host name or scheme, to which browsers don't send their cookies.
	NewAddress Result = "new-address"
	// UpdateRefused means that CloudFormation would have to replace the sessions' resource, and refuses that because the
	// resource has a fixed name. Nothing changes.
	UpdateRefused Result = "refused"
	// SessionsLost means that the sessions' resource is replaced by an empty one.
	SessionsLost Result = "lost"
)

// String returns the result in words.
func (r Result) String() string {
	switch r {
	case SessionsKept:
		return "in place"
	case SomeSessionsLost:
		return "in place: some are logged out"
	case NewAddress:
		return "new address: everyone is logged out"
	case UpdateRefused:
		return "refused"
	case SessionsLost:
		return "replaced: everyone is logged out"
	}
	return string(r)
}

// String returns a sentence about the sessions.
func (o Outcome) String() string {
	text := "Sessions: " + o.Result.String()
	if len(o.Causes) > 0 {
		text += " (" + strings.Join(o.Causes, ", ") + ")"
	}
	return text + "."
}
