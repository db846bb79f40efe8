package explore

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// binaryHeader is the size of the header of Memcached's binary protocol, in bytes.
const binaryHeader = 24

// The first byte of a message of the binary protocol. No message of the text protocol begins so.
const (
	binaryRequest  = 0x80
	binaryResponse = 0x81
)

// binaryOpcodes are the names of the commands of the binary protocol. A q marks those that reply only to a miss or an error.
var binaryOpcodes = map[byte]string{
	0x00: "get", 0x01: "set", 0x02: "add", 0x03: "replace", 0x04: "delete", 0x05: "incr", 0x06: "decr", 0x07: "quit",
	0x08: "flush", 0x09: "getq", 0x0a: "noop", 0x0b: "version", 0x0c: "getk", 0x0d: "getkq", 0x0e: "append", 0x0f: "prepend",
	0x10: "stats", 0x11: "setq", 0x12: "addq", 0x13: "replaceq", 0x14: "deleteq", 0x1b: "verbosity", 0x1c: "touch", 0x1d: "gat",
	0x1e: "gatq", 0x20: "sasl list", 0x21: "sasl auth", 0x22: "sasl step",
}

// binaryStatuses are the usual statuses of a reply, in the words of the text protocol.
var binaryStatuses = map[uint16]string{0: "OK", 1: "NOT_FOUND", 2: "EXISTS", 5: "NOT_STORED"}

// isBinary reports whether a message is of the binary protocol.
func isBinary(message []byte) bool {
	return len(message) > 0 && (message[0] == binaryRequest || message[0] == binaryResponse)
}

// A binaryCommand is one command of a request in the binary protocol.
type binaryCommand struct {
	header []byte
	name   string
	key    []byte
}

// binaryCommands splits a request into its commands. What isn't whole or is malformed is left out.
func binaryCommands(request []byte) (commands []binaryCommand, whole bool) {
	for len(request) > 0 {
		if len(request) < binaryHeader || request[0] != binaryRequest {
			return commands, false
		}
		header := request[:binaryHeader]
		body := int64(binary.BigEndian.Uint32(header[8:]))
		extras, key := int(header[4]), int(binary.BigEndian.Uint16(header[2:]))
		if int64(len(request)-binaryHeader) < body || int64(extras+key) > body {
			return commands, false
		}
		name, known := binaryOpcodes[header[1]]
		if !known {
			name = fmt.Sprintf("command %#x", header[1])
		}
		from := binaryHeader + extras
		commands = append(commands, binaryCommand{header, name, request[from : from+key]})
		request = request[binaryHeader+body:]
	}
	return commands, true
}

// binarySetup reports whether a request only sets up its connection.
func binarySetup(request []byte) bool {
	commands, whole := binaryCommands(request)
	for _, c := range commands {
		switch c.name {
		case "version", "noop", "stats", "verbosity", "quit", "sasl list", "sasl auth", "sasl step":
		default:
			return false
		}
	}
	return whole
}

// describeBinary returns the names and the keys of the commands in a request.
func describeBinary(request []byte) string {
	commands, whole := binaryCommands(request)
	var list []string
	for _, c := range commands {
		list = append(list, strings.TrimSpace(c.name+" "+printable(c.key)))
	}
	if !whole {
		list = append(list, "…")
	}
	return strings.Join(list, "; ")
}

// binaryAnswered returns a short description of a reply.
func binaryAnswered(reply []byte) string {
	if len(reply) < binaryHeader {
		return ""
	}
	status := binary.BigEndian.Uint16(reply[6:])
	if text, known := binaryStatuses[status]; known {
		return text
	}
	return fmt.Sprintf("error %#x", status)
}

// binaryInternalError is the status of a reply of a store that failed.
const binaryInternalError = 0x84

// binaryFailure returns an error reply to each command of a request.
func binaryFailure(request []byte) (reply []byte) {
	commands, _ := binaryCommands(request)
	for _, c := range commands {
		header := make([]byte, binaryHeader)
		header[0], header[1] = binaryResponse, c.header[1]
		binary.BigEndian.PutUint16(header[6:], binaryInternalError)
		binary.BigEndian.PutUint32(header[8:], uint32(len(injected)))
		copy(header[12:16], c.header[12:16]) // by which the client matches replies
		reply = append(append(reply, header...), injected...)
	}
	return reply
}
