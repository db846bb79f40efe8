package explore

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// resp is the protocol of Valkey and Redis.
type resp struct{ queueing bool } // between MULTI and EXEC

// respSetup are the commands that neither read nor change sessions. The body of a transaction does so only at EXEC.
var respSetup = []string{
	"HELLO", "CLIENT", "AUTH", "PING", "SELECT", "SUBSCRIBE", "PSUBSCRIBE", "COMMAND", "INFO", "CLUSTER", "READONLY",
	"SCRIPT", "MULTI", "QUIT", "CONFIG", "ECHO",
}

// commands splits a request into its commands. What isn't whole or is malformed is left out.
func (*resp) commands(request []byte) (commands [][][]byte, whole bool) {
	for len(request) > 0 {
		n, rest, ok := respNumber(request, '*')
		if !ok {
			return commands, false
		}
		var args [][]byte
		for range n {
			var size int
			if size, rest, ok = respNumber(rest, '$'); !ok || len(rest) < size+2 {
				return commands, false
			}
			args, rest = append(args, rest[:size]), rest[size+2:]
		}
		if len(args) > 0 {
			commands = append(commands, args)
		}
		request = rest
	}
	return commands, true
}

// respNumber reads a line that has a type and a number from 0 to a million.
func respNumber(text []byte, kind byte) (n int, rest []byte, ok bool) {
	line, rest, found := bytes.Cut(text, []byte("\r\n"))
	if !found || len(line) < 2 || line[0] != kind {
		return 0, nil, false
	}
	n, err := strconv.Atoi(string(line[1:]))
	return n, rest, err == nil && n >= 0 && n <= 1_000_000
}

func (r *resp) setup(request []byte) bool {
	commands, whole := r.commands(request)
	if !whole || len(commands) == 0 {
		return false
	}
	passes := true
	for _, args := range commands {
		name := strings.ToUpper(string(args[0]))
		switch name {
		case "MULTI":
			r.queueing = true
		case "EXEC", "DISCARD":
			r.queueing = false
			passes = false
		}
		passes = passes && (r.queueing || slices.Contains(respSetup, name))
	}
	return passes
}

func (r *resp) describe(request []byte) string {
	commands, whole := r.commands(request)
	var list []string
	for _, args := range commands {
		list = append(list, describeCommand(args))
	}
	if !whole {
		list = append(list, "…")
	}
	return strings.Join(list, "; ")
}

// describeCommand returns a command's name, its keys, and the options of SET; no values, and no hashes of scripts.
func describeCommand(args [][]byte) string {
	name := strings.ToUpper(string(args[0]))
	words := []string{name}
	switch name {
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
		words[0] = "script"
		if len(args) > 2 {
			n, _ := strconv.Atoi(string(args[2]))
			for i := 3; i < min(3+n, len(args)); i++ {
				words = append(words, printable(args[i]))
			}
		}
	case "MGET", "DEL", "UNLINK", "EXISTS":
		for _, key := range args[1:] {
			words = append(words, printable(key))
		}
	default:
		if len(args) > 1 {
			words = append(words, printable(args[1]))
		}
		if name == "SET" {
			for _, option := range args[min(3, len(args)):] {
				if text := strings.ToUpper(string(option)); text == "NX" || text == "XX" {
					words = append(words, text)
				}
			}
		}
	}
	return strings.Join(words, " ")
}

func (*resp) answered(reply []byte) string {
	line, rest, _ := bytes.Cut(reply, []byte("\r\n"))
	if len(line) == 0 {
		return ""
	}
	switch text := printable(line[1:]); line[0] {
	case '+', ':', ',', '#':
		return text
	case '-', '!':
		return "error " + text
	case '_':
		return "nothing"
	case '$':
		if text == "-1" {
			return "nothing"
		}
		value, _, _ := bytes.Cut(rest, []byte("\r\n"))
		if label := printable(value); idPattern.FindString(label) != label {
			return label
		}
		return text + " bytes"
	case '*', '%', '~':
		switch text {
		case "-1":
			return "nothing"
		case "0":
			return "empty"
		}
		return text + " values"
	default:
		return ""
	}
}

func (r *resp) failure(request []byte) []byte {
	commands, _ := r.commands(request)
	return bytes.Repeat([]byte("-ERR "+injected+"\r\n"), max(1, len(commands)))
}
