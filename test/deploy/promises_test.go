package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A promise is a property of the deployment that is read back from AWS.
type promise struct {
	name   string
	stores []string // the stores that it applies to; nil is all
	check  func(ctx context.Context, l deployment) error
	// twin breaks the promise in a template. The check must find that.
	twin func(t template)
}

// promises returns all promises.
func promises() []promise { return slices.Concat(fleetPromises(), storePromises()) }

// broken returns the errors of the broken promises by name.
func broken(ctx context.Context, l deployment) map[string]error {
	found := map[string]error{}
	for _, p := range promises() {
		if p.appliesTo(l.store) {
			if err := p.check(ctx, l); err != nil {
				found[p.name] = err
			}
		}
	}
	return found
}

func (p promise) appliesTo(store string) bool {
	return p.stores == nil || slices.Contains(p.stores, store)
}

var errMissing = errors.New("AWS does not have the resource that CloudFormation created")

// want returns an error unless got equals want.
func want[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

// set returns a twin that sets a property in all resources of a type.
func set(kind, property string, value any) func(template) {
	return func(t template) {
		for _, properties := range t.of(kind, "") {
			if value == nil {
				delete(properties, property)
			} else {
				properties[property] = value
			}
		}
	}
}

// setAttribute returns a twin that sets an attribute in a list of keys and values.
func setAttribute(kind, list, key, value string) func(template) {
	return func(t template) {
		for _, properties := range t.of(kind, "") {
			for _, attribute := range properties[list].([]any) {
				if attribute := attribute.(map[string]any); attribute["Key"] == key {
					attribute["Value"] = value
				}
			}
		}
	}
}

// setData returns a twin that sets a value in the launch template, at a path of keys.
func setData(value any, path ...string) func(template) {
	return func(t template) {
		for _, properties := range t.of("AWS::EC2::LaunchTemplate", "") {
			data := properties["LaunchTemplateData"].(map[string]any)
			for _, key := range path[:len(path)-1] {
				data = data[key].(map[string]any)
			}
			data[path[len(path)-1]] = value
		}
	}
}
