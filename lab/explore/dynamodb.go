package explore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// dynamoDB is the protocol of DynamoDB: JSON over HTTP/1.1.
type dynamoDB struct{}

var targetPattern = regexp.MustCompile(`(?i)\r\nX-Amz-Target: *\w+\.(\w+)\r\n`)

// operation returns the name of the request's operation, such as GetItem.
func (dynamoDB) operation(request []byte) string {
	head, _, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	if match := targetPattern.FindSubmatch(append(head, '\r', '\n')); match != nil {
		return string(match[1])
	}
	return ""
}

func (d dynamoDB) setup(request []byte) bool {
	operation := d.operation(request)
	return strings.HasPrefix(operation, "Describe") || strings.HasPrefix(operation, "List") || operation == "CreateTable"
}

func (d dynamoDB) describe(request []byte) string {
	_, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	var document any
	words := []string{d.operation(request)}
	if json.Unmarshal(body, &document) == nil {
		words = append(words, itemKeys(document)...)
	}
	return strings.Join(words, " ")
}

// itemKeys returns the short strings with identifiers under "Key" and "Item", and in lists of transactions and batches.
func itemKeys(document any) []string {
	var found []string
	var walk func(value any, inside bool)
	walk = func(value any, inside bool) {
		switch v := value.(type) {
		case map[string]any:
			names := make([]string, 0, len(v))
			for name := range v {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				walk(v[name], inside || name == "Key" || name == "Item" || name == "Keys")
			}
		case []any:
			for _, element := range v {
				walk(element, inside)
			}
		case string:
			if id := idPattern.FindString(v); inside && len(v) <= maxLabel && isRandom(id) && !slices.Contains(found, v) {
				found = append(found, v)
			}
		}
	}
	walk(document, false)
	return found[:min(2, len(found))]
}

var (
	statusPattern = regexp.MustCompile(`^HTTP/1\.1 (\d{3})`)
	errorPattern  = regexp.MustCompile(`"__type":"[^"]*#(\w+)"`)
)

func (dynamoDB) answered(reply []byte) string {
	if match := errorPattern.FindSubmatch(reply); match != nil {
		return string(match[1])
	}
	if bytes.HasSuffix(bytes.TrimSpace(reply), []byte("\r\n\r\n{}")) {
		return "nothing"
	}
	if match := statusPattern.FindSubmatch(reply); match != nil {
		return string(match[1])
	}
	return ""
}

func (dynamoDB) failure([]byte) []byte {
	body := `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"` + injected + `"}`
	return fmt.Appendf(nil, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body)
}
