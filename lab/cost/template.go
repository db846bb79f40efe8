package cost

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// templateSuffix is how the CDK names the template of a stack in the folder that it synthesizes into.
const templateSuffix = ".template.json"

// A Template is the CloudFormation template of a stack, as far as the lab looks at it.
type Template struct {
	Name       string `json:"-"` // of the stack
	Parameters map[string]struct {
		Default any
	}
	Resources map[string]Resource
	Outputs   map[string]struct {
		Value any
	}
	// Whole is the template as it was read, for comparing.
	Whole json.RawMessage `json:"-"`
}

// A Resource is one of a Template's.
type Resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string

	id       string
	template *Template
}

// maxFile bounds templates and files of prices, in bytes: sixteen times the longest template that CloudFormation takes.
const maxFile = 16 << 20

// readAll reads what the file called name has.
func readAll(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxFile)
	}
	return text, err
}

// ReadTemplate reads one template. The name is its stack's. A template is a regular file: reading others may never end.
func ReadTemplate(path, name string) (Template, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return Template{}, fmt.Errorf("%s is no template: it is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return Template{}, err
	}
	defer file.Close()
	text, err := readAll(file, path)
	if err != nil {
		return Template{}, err
	}
	t := Template{Name: name, Whole: text}
	if err := json.Unmarshal(text, &t); err != nil {
		return Template{}, fmt.Errorf("%s is no template: %w", path, err)
	}
	if len(t.Resources) == 0 {
		return Template{}, fmt.Errorf("%s is no template: it has no Resources", path)
	}
	return t, nil
}

// IsAssembly reports whether folder is one that the CDK has synthesized into.
func IsAssembly(folder string) bool {
	files, err := filepath.Glob(filepath.Join(folder, "*"+templateSuffix))
	return err == nil && len(files) > 0
}

// ReadAssembly reads the templates in a folder that the CDK has synthesized into, in the order of their names.
func ReadAssembly(folder string) ([]Template, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"+templateSuffix))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no *%s: %w", folder, templateSuffix, fs.ErrNotExist)
	}
	var templates []Template
	for _, file := range files {
		t, err := ReadTemplate(file, strings.TrimSuffix(filepath.Base(file), templateSuffix))
		if err != nil {
			return nil, err
		}
		templates = append(templates, t)
	}
	return templates, nil
}

// all are the resources of the templates, in the order of their names.
func all(templates []Template) []Resource {
	var list []Resource
	for i := range templates {
		for _, id := range slices.Sorted(maps.Keys(templates[i].Resources)) {
			r := templates[i].Resources[id]
			r.id, r.template = id, &templates[i]
			list = append(list, r)
		}
	}
	return list
}

// value is what the properties have at the path; a reference to a parameter is its default.
func (r Resource) value(path ...string) any { return r.template.value(r.Properties, path...) }

func (t *Template) value(from any, path ...string) any {
	for _, name := range path {
		object, _ := from.(map[string]any)
		from = object[name]
	}
	if object, ok := from.(map[string]any); ok && len(object) == 1 {
		if name, ok := object["Ref"].(string); ok {
			if parameter, ok := t.Parameters[name]; ok {
				return parameter.Default
			}
		}
	}
	return from
}

func (r Resource) text(path ...string) string { return text(r.value(path...)) }

func text(value any) string {
	text, _ := value.(string)
	return text
}

// maxNumber bounds what a template says, so that products of it are finite: more than a deployment can have of anything.
const maxNumber = 1e9

// number is 0 where there is none, or one below 0, and maxNumber at most. CloudFormation takes numbers in quotes.
func (r Resource) number(path ...string) float64 { return number(r.value(path...)) }

func number(value any) float64 {
	n := 0.0
	switch value := value.(type) {
	case float64:
		n = value
	case string:
		n, _ = strconv.ParseFloat(value, 64)
	}
	if !(n > 0) { // or it is none at all
		return 0
	}
	return min(n, maxNumber)
}

func (r Resource) list(path ...string) []any {
	list, _ := r.value(path...).([]any)
	return list
}

// reference is the id of the resource that a value refers to.
func reference(value any) string {
	object, _ := value.(map[string]any)
	if id, ok := object["Ref"].(string); ok {
		return id
	}
	if list, ok := object["Fn::GetAtt"].([]any); ok && len(list) > 0 {
		return text(list[0])
	}
	return ""
}

// object is a part of r's properties, to be read as a resource is.
func object(r Resource, value any) Resource {
	properties, _ := value.(map[string]any)
	return Resource{Properties: properties, template: r.template}
}

func objects(r Resource, value any) []Resource {
	list, _ := value.([]any)
	parts := make([]Resource, len(list))
	for i, part := range list {
		parts[i] = object(r, part)
	}
	return parts
}
