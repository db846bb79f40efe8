package explore

import (
	"bytes"
	"strings"
)

// memcached is Memcached's protocol: the text protocol with its meta commands, and the binary one, which php-memcached
// and older clients speak.
type memcached struct{}

func (memcached) setup(request []byte) bool {
	if isBinary(request) {
		return binarySetup(request)
	}
	switch name, _, _ := strings.Cut(strings.TrimSpace(firstLine(request)), " "); name {
	case "version", "mn", "verbosity", "stats":
		return true
	}
	return false
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\r\n"))
	return printable(line)
}

func (memcached) describe(request []byte) string {
	if isBinary(request) {
		return describeBinary(request)
	}
	words := strings.Fields(firstLine(request))
	if len(words) > 2 && words[0] != "get" && words[0] != "gets" {
		words = words[:2] // without flags, times and lengths
	}
	return strings.Join(words, " ")
}

func (memcached) answered(reply []byte) string {
	if isBinary(reply) {
		return binaryAnswered(reply)
	}
	name, _, _ := strings.Cut(firstLine(reply), " ")
	if name == "END" {
		return "nothing"
	}
	return name
}

func (memcached) failure(request []byte) []byte {
	if isBinary(request) {
		return binaryFailure(request)
	}
	return []byte("SERVER_ERROR " + injected + "\r\n")
}
