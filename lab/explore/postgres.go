package explore

import (
	"encoding/binary"
	"math"
	"regexp"
	"strings"
)

// postgres is version 3 of PostgreSQL's protocol.
type postgres struct {
	started    bool              // the start of the connection is over
	statements map[string]string // the SQL of prepared statements by their names
	status     byte              // of the transaction, as the server last said: I, T or E
}

type postgresMessage struct {
	kind byte
	body []byte
}

// messages splits what a client sends after the start of a connection.
func postgresMessages(text []byte) (messages []postgresMessage) {
	for len(text) >= 5 {
		size := binary.BigEndian.Uint32(text[1:5])
		if size < 4 || int64(len(text)) < int64(size)+1 {
			break
		}
		messages = append(messages, postgresMessage{text[0], text[5 : size+1]})
		text = text[size+1:]
	}
	return messages
}

// cString returns the text up to a zero byte, and what follows it.
func cString(text []byte) (s string, rest []byte) {
	before, after, _ := strings.Cut(string(text), "\x00")
	return before, []byte(after)
}

func (p *postgres) setup(request []byte) bool {
	if !p.started {
		return true // SSLRequest, StartupMessage and passwords, until the server says that it is ready
	}
	passes := true
	for _, message := range postgresMessages(request) {
		switch message.kind {
		case 'P':
			name, rest := cString(message.body)
			p.statements[name], _ = cString(rest)
		case 'B', 'E', 'F':
			passes = false
		case 'Q':
			sql, _ := cString(message.body)
			passes = passes && isBegin(sql)
		}
	}
	return passes
}

// isBegin reports whether the statement begins a transaction or sets a parameter of the connection, which reads and changes
// no data.
func isBegin(sql string) bool {
	statement := strings.ToUpper(strings.TrimLeft(sql, " \t\n;-"))
	if strings.HasPrefix(statement, "SELECT SET_CONFIG(") {
		return true
	}
	word, _, _ := strings.Cut(statement, " ")
	switch strings.TrimRight(word, ";\n") {
	case "BEGIN", "START", "SET", "SHOW", "DISCARD", "":
		return true
	}
	return false
}

var sqlPattern = regexp.MustCompile(`(?is)\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|SELECT\b.*?\bFROM|CALL|SELECT)\s+"?([\w.]+)`)

func (p *postgres) describe(request []byte) string {
	var words []string
	for _, message := range postgresMessages(request) {
		switch message.kind {
		case 'Q':
			sql, _ := cString(message.body)
			words = append(words, describeSQL(sql))
			words = append(words, quotedIDs(sql)...)
		case 'B':
			_, rest := cString(message.body)
			name, rest := cString(rest)
			words = append(words, describeSQL(p.statements[name]))
			words = append(words, boundIDs(rest)...)
		}
	}
	return strings.Join(words, " ")
}

// describeSQL returns the verb of a statement and its first table or function.
func describeSQL(sql string) string {
	match := sqlPattern.FindStringSubmatch(sql)
	if match == nil {
		return printable([]byte(sql))
	}
	verb, _, _ := strings.Cut(strings.ToUpper(strings.Join(strings.Fields(match[1]), " ")), " ")
	return verb + " " + match[2]
}

func quotedIDs(sql string) []string {
	var ids []string
	for _, id := range idPattern.FindAllString(sql, -1) {
		if isRandom(id) {
			ids = append(ids, id)
		}
	}
	return ids[:min(2, len(ids))]
}

// boundIDs returns the parameters of a Bind message that look like identifiers, from after the name of the statement.
func boundIDs(text []byte) []string {
	number := func() int {
		if len(text) < 2 {
			return 0
		}
		n := int(binary.BigEndian.Uint16(text))
		text = text[2:]
		return n
	}
	formats := number()
	text = text[min(2*formats, len(text)):]
	var ids []string
	for range number() {
		if len(text) < 4 {
			break
		}
		size := int64(binary.BigEndian.Uint32(text))
		text = text[4:]
		if size == math.MaxUint32 { // NULL
			continue
		}
		size = min(size, int64(len(text)))
		value := printable(text[:size])
		text = text[size:]
		if idPattern.FindString(value) == value && isRandom(value) {
			ids = append(ids, value)
		}
	}
	return ids[:min(2, len(ids))]
}

func (p *postgres) answered(reply []byte) string {
	text := ""
	for _, message := range postgresMessages(reply) {
		switch message.kind {
		case 'Z':
			p.started = true
			if len(message.body) == 1 {
				p.status = message.body[0]
			}
		case 'C':
			text, _ = cString(message.body)
		case 'E':
			text = "error " + postgresError(message.body)
		}
	}
	return text
}

// postgresError returns the code of an ErrorResponse.
func postgresError(body []byte) string {
	for len(body) > 1 {
		value, rest := cString(body[1:])
		if body[0] == 'C' {
			return value
		}
		body = rest
	}
	return ""
}

func (p *postgres) failure([]byte) []byte {
	fields := "SERROR\x00VERROR\x00C58000\x00M" + injected + "\x00\x00"
	reply := append([]byte{'E'}, binary.BigEndian.AppendUint32(nil, uint32(len(fields)+4))...) // #nosec G115 -- about 50
	reply = append(reply, fields...)
	status := p.status
	switch status {
	case 'T':
		status = 'E'
	case 0:
		status = 'I'
	}
	return append(reply, 'Z', 0, 0, 0, 5, status)
}
