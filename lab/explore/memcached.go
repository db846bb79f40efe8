package explore

import (
	"bytes"
	"strings"
)

// memcached is the text protocol of Memcached, with its meta commands.
type memcached struct{}

func (memcached) setup(request []byte) bool {
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
	words := strings.Fields(firstLine(request))
	if len(words) > 2 && words[0] != "get" && words[0] != "gets" {
		words = words[:2] // without flags, times and lengths
	}
	return strings.Join(words, " ")
}

func (memcached) answered(reply []byte) string {
	name, _, _ := strings.Cut(firstLine(reply), " ")
	if name == "END" {
		return "nothing"
	}
	return name
}

func (memcached) failure([]byte) []byte { return []byte("SERVER_ERROR " + injected + "\r\n") }
