package compare

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"stateless-servers/lab/cost"
)

// An object is one of JSON.
type object = map[string]any

// whole is the template of that name, empty where there is none.
func whole(templates []cost.Template, name string) object {
	for _, t := range templates {
		if t.Name == name {
			return t.Whole
		}
	}
	return object{}
}

// resources are those of a template, but for what the CDK says about itself. DependsOn is a sorted list.
func resources(template object) map[string]object {
	list, _ := template["Resources"].(object)
	found := map[string]object{}
	for id, value := range list {
		r, _ := value.(object)
		if r["Type"] == "AWS::CDK::Metadata" {
			continue
		}
		r = maps.Clone(r)
		switch on := r["DependsOn"].(type) {
		case string:
			r["DependsOn"] = []any{on}
		case []any:
			on = slices.Clone(on)
			slices.SortFunc(on, func(a, b any) int { return strings.Compare(word(a), word(b)) })
			r["DependsOn"] = on
		}
		found[id] = r
	}
	return found
}

func properties(r object) object {
	p, _ := r["Properties"].(object)
	return p
}

func word(value any) string {
	text, _ := value.(string)
	return text
}

// copied is a deep copy.
func copied(of map[string]object) map[string]object {
	text, err := json.Marshal(of)
	var copy map[string]object
	if err == nil {
		err = json.Unmarshal(text, &copy)
	}
	if err != nil {
		panic(err) // it came out of JSON
	}
	return copy
}

func union(a, b object) []string {
	names := maps.Clone(a)
	if names == nil {
		names = object{}
	}
	maps.Copy(names, b)
	return slices.Sorted(maps.Keys(names))
}

// equal tells whether CloudFormation takes two values for the same: it reads numbers and booleans in quotes too, and the
// order of DependsOn doesn't matter.
func equal(a, b any) bool {
	switch x := a.(type) {
	case object:
		y, ok := b.(object)
		if !ok || len(x) != len(y) {
			return false
		}
		for name := range x {
			other, found := y[name]
			if !found || !equal(x[name], other) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equal)
	case nil:
		return b == nil
	}
	return scalar(a) == scalar(b) && b != nil
}

// scalar is a value's text; values that aren't scalars have one that no scalar has.
func scalar(value any) string {
	switch value := value.(type) {
	case string:
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			return fmt.Sprint(n)
		}
		return value
	case float64, bool:
		return fmt.Sprint(value)
	}
	return fmt.Sprintf("\x00%v", value)
}

// rename makes every reference to the resource one to another, and tells whether there was any.
func rename(value any, id string) bool {
	found := false
	switch value := value.(type) {
	case map[string]object:
		for _, r := range value {
			found = rename(r, id) || found
		}
	case object:
		if value["Ref"] == id {
			value["Ref"] = id + " (replaced)"
			return true
		}
		if list, ok := value["Fn::GetAtt"].([]any); ok && len(list) > 0 {
			if list[0] != id {
				return false
			}
			list[0] = id + " (replaced)"
			return true
		}
		for _, part := range value {
			found = rename(part, id) || found
		}
	case []any:
		for _, part := range value {
			found = rename(part, id) || found
		}
	}
	return found
}
