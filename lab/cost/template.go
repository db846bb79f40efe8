package cost

import (
	"encoding/json"
	"errors"
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

// templateSuffix follows the stack's name in the names of the templates that the CDK synthesizes.
const templateSuffix = ".template.json"

// A Template holds the parts of a stack's CloudFormation template that the lab uses.
type Template struct {
	Name       string `json:"-"` // of the stack
	Parameters map[string]struct {
		Default any
	}
	Resources map[string]Resource
	Outputs   map[string]struct {
		Value any
	}
	// Whole is the complete template, for comparing.
	Whole json.RawMessage `json:"-"`
}

// A Resource is a resource of a Template.
type Resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string

	id       string
	template *Template
}

// maxFileBytes bounds the size of templates and price files: sixteen times the largest template that CloudFormation accepts.
const maxFileBytes = 16 << 20

// readAll reads at most maxFileBytes. The name of the file is for errors.
func readAll(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxFileBytes)
	}
	return text, err
}

// readFile reads at most maxFileBytes. It refuses anything but a regular file, as reading a pipe or a device may never end.
func readFile(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a template: it is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, path)
}

// ReadTemplate reads the template of the stack called name. It refuses anything but a regular file.
func ReadTemplate(path, name string) (Template, error) {
	text, err := readFile(path)
	if err != nil {
		return Template{}, err
	}
	t := Template{Name: name, Whole: text}
	if err := json.Unmarshal(text, &t); err != nil {
		return Template{}, fmt.Errorf("%s is not a template: %w", path, err)
	}
	if len(t.Resources) == 0 {
		return Template{}, fmt.Errorf("%s is not a template: it has no Resources", path)
	}
	return t, nil
}

// IsAssembly reports whether the folder has templates that the CDK has synthesized.
func IsAssembly(folder string) bool {
	files, err := filepath.Glob(filepath.Join(folder, "*"+templateSuffix))
	return err == nil && len(files) > 0
}

// ReadAssembly reads the templates of the stacks that the CDK has synthesized last into the folder, in the order of their
// names. The folder may have templates of earlier stacks, such as those of another configuration. Without the CDK's
// manifest it reads all.
func ReadAssembly(folder string) ([]Template, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"+templateSuffix))
	if err != nil {
		return nil, err
	}
	current, err := manifestTemplates(folder)
	if err != nil {
		return nil, err
	}
	if current != nil {
		files = slices.DeleteFunc(files, func(file string) bool { return !slices.Contains(current, filepath.Base(file)) })
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

// manifestTemplates returns the names of the templates in the CDK's manifest of the folder, or nil if there is no manifest.
func manifestTemplates(folder string) ([]string, error) {
	path := filepath.Join(folder, "manifest.json")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var manifest struct {
		Artifacts map[string]struct{ Properties struct{ TemplateFile string } }
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return nil, fmt.Errorf("%s is not a manifest of the CDK: %w", path, err)
	}
	files := []string{}
	for _, artifact := range manifest.Artifacts {
		if artifact.Properties.TemplateFile != "" {
			files = append(files, artifact.Properties.TemplateFile)
		}
	}
	return files, nil
}

// allResources returns the resources of the templates, within each template in the order of their logical ids.
func allResources(templates []Template) []Resource {
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

// value returns the value at the path in the properties, or nil. For a reference to a parameter it returns its default.
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

// maxNumber bounds the numbers in a template, so that products of them stay finite. No deployment has that many of anything.
const maxNumber = 1e9

// number returns the number at the path, from 0 to maxNumber, or 0 if there is none. Like CloudFormation, it accepts numbers in
// quotes.
func (r Resource) number(path ...string) float64 { return number(r.value(path...)) }

func number(value any) float64 {
	n := 0.0
	switch value := value.(type) {
	case float64:
		n = value
	case string:
		n, _ = strconv.ParseFloat(value, 64)
	}
	if !(n > 0) { // true for NaN too
		return 0
	}
	return min(n, maxNumber)
}

func (r Resource) list(path ...string) []any {
	list, _ := r.value(path...).([]any)
	return list
}

// reference returns the logical id of the resource that a value refers to, or "".
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

// object returns a nested object of r's properties as a Resource, which has the methods to read it.
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
