package explore

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"stateless-servers/app/config"
)

// A protocol decodes what one connection to a store carries. The explorer needs it for labels, to let the set-up of a
// connection pass, and for error replies. Schedules and all other faults work without it.
type protocol interface {
	// setup reports whether what the client sent neither reads nor changes data: authentication, pings, the preparation
	// of statements.
	setup(request []byte) bool
	// describe returns the name and the keys of the commands in a request.
	describe(request []byte) string
	// answered is given the first bytes of each reply, and returns a short description of it.
	answered(reply []byte) string
	// failure returns a reply that says that the store failed; nil if there is none.
	failure(request []byte) []byte
}

// newProtocol returns the protocol of a store, for one connection.
func newProtocol(store config.StoreKind) protocol {
	switch store {
	case config.StoreValkey:
		return &resp{}
	case config.StoreMemcached:
		return memcached{}
	case config.StorePostgres:
		return &postgres{statements: map[string]string{}}
	case config.StoreDynamoDB:
		return dynamoDB{}
	default:
		return unknown{}
	}
}

// unknown is a protocol that the explorer does not decode.
type unknown struct{}

func (unknown) setup([]byte) bool              { return false }
func (unknown) describe(request []byte) string { return fmt.Sprintf("%d bytes", len(request)) }
func (unknown) answered(reply []byte) string   { return fmt.Sprintf("%d bytes", len(reply)) }
func (unknown) failure([]byte) []byte          { return nil }

// injected is the text of the error replies that the explorer makes.
const injected = "injected failure"

// maxLabel bounds the length of a call's label, in bytes.
const maxLabel = 72

// printable returns text as a label: one line of visible characters, binary data in hexadecimal, not too long.
func printable(text []byte) string {
	if bytes.ContainsFunc(text, func(r rune) bool { return r == '\uFFFD' || r < ' ' && r != '\n' && r != '\t' && r != '\r' }) {
		return fmt.Sprintf("%x", text)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// labels gives the random identifiers of a run short names that are the same in every run: the session that the visitor
// has at the beginning is old, and later ones are new, new2 and so on, in the order of their appearance.
type labels struct {
	names map[string]string
	first string // the name of the next identifiers: old before the run, new in it
	count map[string]int
}

func newLabels() *labels {
	return &labels{names: map[string]string{}, first: "old", count: map[string]int{}}
}

var (
	idPattern    = regexp.MustCompile(`[A-Za-z0-9_+/%-]{20,}={0,2}`)
	digitPattern = regexp.MustCompile(`\d`)
	upperPattern = regexp.MustCompile(`[A-Z]`)
	lowerPattern = regexp.MustCompile(`[a-z]`)
)

// isRandom reports whether a text that matches idPattern looks like a random identifier, and not like the name of a table: it has
// a digit, or it is long and mixes cases. One in 1,500 random texts of 43 characters in base64 has no digit.
func isRandom(id string) bool {
	return digitPattern.MatchString(id) || len(id) >= 32 && upperPattern.MatchString(id) && lowerPattern.MatchString(id)
}

// apply returns the text with the names of its identifiers.
func (l *labels) apply(text string) string {
	text = idPattern.ReplaceAllStringFunc(text, func(id string) string {
		if !isRandom(id) {
			return id
		}
		name, known := l.names[id]
		if !known {
			l.count[l.first]++
			if name = l.first; l.count[l.first] > 1 {
				name = fmt.Sprintf("%s%d", l.first, l.count[l.first])
			}
			l.names[id] = name
		}
		return name
	})
	if len(text) > maxLabel {
		text = strings.ToValidUTF8(text[:maxLabel], "") + "…"
	}
	return text
}
