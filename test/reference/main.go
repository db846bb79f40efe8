// Command reference writes docs/configuration.md: a table of the deployment's keys, a table of what their changes do to the
// sessions, and a table of the server's environment variables. It takes the first and the last from the structs that declare
// them and from the comments of their fields. Start reading at reference.
package main

//go:generate env CDK_VALIDATION=false JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1 go run . -changes

import (
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"stateless-servers/app/config"
	"stateless-servers/stacks"
)

// Paths relative to this folder.
const (
	root = "../.."
	page = root + "/docs/configuration.md"
)

func main() {
	recompute := flag.Bool("changes", false, "also compute what each change does to the sessions, in some minutes")
	flag.Parse()
	var err error
	if *recompute {
		err = writeOutcomes(context.Background())
	}
	var text string
	if err == nil {
		text, err = reference()
	}
	if err == nil {
		err = os.WriteFile(page, []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const introduction = `# Configuration

<!-- Written by go generate ./test/reference, from the structs and their comments. -->

Keys of the CDK's context configure a deployment. Environment variables configure a server. The stacks and the lab write the
environment of the servers that they start, so to deploy you need the first table only. A program that finds bad values reports all of
them at once, with name, value and what is allowed.

## Deployment

Set keys with ` + "`npx cdk deploy --all -c key=value`, or in `\"context\"` of" + ` [cdk.json](../cdk.json). Costs are in USD per month of 730
hours in us-east-1, on demand, from [lab/cost/prices.csv](../lab/cost/prices.csv). A dash means that the key costs nothing by itself. For
the cost of a whole deployment at your traffic, run ` + "`go run ./lab compare dynamodb valkey+shards=2`" + ` ([compare.md](compare.md)).

`

const serverIntroduction = `
## Server

These are the variables of ` + "`go run ./app`" + `. A variable without a default is empty, and required only if the table says so. The
standard variables of OpenTelemetry apply, too: ` + "`OTEL_EXPORTER_OTLP_ENDPOINT`" + ` turns on traces and metrics over http/protobuf
([use-the-library.md](use-the-library.md#export-traces-and-metrics)).

`

// reference returns the text of the page.
func reference() (string, error) {
	costs, err := monthlyCosts(filepath.Join(root, "lab", "cost", "prices.csv"))
	if err != nil {
		return "", err
	}
	comments, err := fieldComments(filepath.Join(root, "stacks"))
	if err != nil {
		return "", err
	}
	var text strings.Builder
	text.WriteString(introduction)
	text.WriteString("| key | type | default | allowed | monthly cost | description |\n|---|---|---|---|---|---|\n")
	for _, key := range stacks.Keys() {
		comment, err := commentOf(key, comments)
		if err != nil {
			return "", err
		}
		name := code(key.Name)
		if len(key.Stores) > 0 {
			name += " of " + list(key.Stores)
		}
		allowed := key.Allowed
		if key.Requires != "" {
			allowed += "; only with " + setting(key.Requires)
		}
		row(&text, name, key.Type, code(key.Default), allowed, costs.of(key), withoutDefault(comment, key.Default))
	}
	results, err := readOutcomes()
	if err != nil {
		return "", err
	}
	table, err := changesTable(results)
	if err != nil {
		return "", err
	}
	text.WriteString(table)
	text.WriteString(serverIntroduction)
	text.WriteString("| variable | type | default | allowed | description |\n|---|---|---|---|---|\n")
	fields, err := fieldComments(filepath.Join(root, "app", "config"))
	if err != nil {
		return "", err
	}
	names := namer{}
	for i, v := range config.Variables() {
		names[reflect.TypeFor[config.Config]().Field(i).Name] = v.Name
	}
	for i, v := range config.Variables() {
		field := reflect.TypeFor[config.Config]().Field(i).Name
		comment := fields["Config."+field]
		if comment == "" {
			return "", fmt.Errorf("config.Config.%s has no comment", field)
		}
		row(&text, code(v.Name), v.Type, code(v.Default), v.Allowed, withoutDefault(names.description(field, comment), v.Default))
	}
	return text.String(), nil
}

// row writes a row of a table. It escapes vertical bars and writes a dash for an empty cell.
func row(text *strings.Builder, cells ...string) {
	for _, cell := range cells {
		if cell == "" {
			cell = "–"
		}
		text.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	text.WriteString("|\n")
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// setting returns a requirement as code, unless it is a phrase.
func setting(requirement string) string {
	if strings.Contains(requirement, " ") {
		return requirement
	}
	return code(requirement)
}

func list(stores []config.StoreKind) string {
	words := make([]string, len(stores))
	for i, s := range stores {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// fieldComments returns the comments of the fields of all structs in a folder, by Struct.Field, each in one line.
func fieldComments(folder string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	comments := map[string]string{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			declared, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			fields, ok := declared.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range fields.Fields.List {
				for _, name := range field.Names {
					comments[declared.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
			return true
		})
	}
	return comments, nil
}

// A namer writes the names of fields in comments as the names that readers of the page know: keys or variables.
type namer map[string]string

var (
	keyInComment = regexp.MustCompile(`([A-Za-z]+) \(([a-zA-Z]+)\)`)
	camelCase    = regexp.MustCompile(`\b[A-Z][A-Za-z]*[a-z][A-Z][A-Za-z]*\b`)
	pageName     = regexp.MustCompile(`docs/([a-z-]+\.md)`)
)

// keyNames returns the keys of the fields that have one in their comments.
func keyNames(comments map[string]string) namer {
	names := namer{}
	for _, comment := range comments {
		for _, found := range keyInComment.FindAllStringSubmatch(comment, -1) {
			names[found[1]] = found[2]
		}
	}
	return names
}

// description returns a comment without keys in parentheses, and without the field's name at the start, as in "Name is".
func (n namer) description(name, comment string) string {
	comment = keyInComment.ReplaceAllString(comment, "$1")
	if rest, found := strings.CutPrefix(comment, name+" "); found && !strings.HasPrefix(rest, "and ") {
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "is "), "are ")
		comment = strings.ToUpper(rest[:1]) + rest[1:]
	}
	comment = camelCase.ReplaceAllStringFunc(comment, func(word string) string {
		if key, found := n[word]; found && word != "CloudFront" { // the product, too
			return code(key)
		}
		return word
	})
	return pageName.ReplaceAllString(comment, "[$1]($1)")
}

// defaultSentence matches a sentence that says no more than the column with the default.
var defaultSentence = regexp.MustCompile(` (?:There (?:is|are) no defaults?|The default is ([^ ,:]+))\.(?: |$)`)

// withoutDefault returns a description without the sentence that repeats the default of the key or variable.
func withoutDefault(description, value string) string {
	return strings.TrimSpace(defaultSentence.ReplaceAllStringFunc(description, func(sentence string) string {
		if stated := defaultSentence.FindStringSubmatch(sentence)[1]; stated != value {
			return sentence
		}
		return " "
	}))
}

// commentOf returns the description of a key from the comment of its field. For keys with stores it uses the struct of the first
// store, because two structs have a field for the key replicas. A comment of several fields describes the first of them, to which
// the descriptions of the others refer.
func commentOf(key stacks.Key, comments map[string]string) (string, error) {
	structs := map[config.StoreKind]string{
		config.StoreDynamoDB: "DynamoDBConfig.", config.StoreValkey: "CacheConfig.", config.StoreMemcached: "CacheConfig.",
		config.StorePostgres: "PostgresConfig.",
	}
	names := keyNames(comments)
	for field, comment := range comments {
		if !strings.Contains(comment, "("+key.Name+")") {
			continue
		}
		if len(key.Stores) > 0 && !strings.HasPrefix(field, structs[key.Stores[0]]) {
			continue
		}
		_, name, _ := strings.Cut(field, ".")
		if !strings.HasPrefix(comment, name+" ") { // a comment of several fields begins with the first field's name
			continue
		}
		if first := keyInComment.FindStringSubmatch(comment)[2]; first != key.Name {
			return "See " + code(first) + ".", nil
		}
		return names.description(name, comment), nil
	}
	return "", fmt.Errorf("no field of the stacks' configuration has the key %s in its comment", key.Name)
}
