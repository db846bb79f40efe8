package explore

import (
	"encoding/binary"
	"strings"
	"testing"

	"stateless-servers/app/config"
)

// respRequest encodes commands as clients of Valkey do.
func respRequest(commands ...string) []byte {
	var b strings.Builder
	for _, command := range commands {
		args := strings.Fields(command)
		b.WriteString("*" + itoa(len(args)) + "\r\n")
		for _, arg := range args {
			b.WriteString("$" + itoa(len(arg)) + "\r\n" + arg + "\r\n")
		}
	}
	return []byte(b.String())
}

func itoa(n int) string { return string(binary.AppendUvarint(nil, uint64('0'+n))) } // one digit is enough here

// message encodes a message of PostgreSQL.
func message(kind byte, body string) string {
	return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
}

// binaryMessage encodes a message of Memcached's binary protocol with the status of a reply and no value.
func binaryMessage(magic, opcode byte, status uint16, key string) string {
	b := binary.BigEndian.AppendUint16([]byte{magic, opcode}, uint16(len(key)))
	b = binary.BigEndian.AppendUint16(append(b, 0, 0), status)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	return string(append(b, "OPAQ\x00\x00\x00\x00\x00\x00\x00\x00"+key...))
}

func TestCallsAreDescribed(t *testing.T) {
	parse := message('P', "s1\x00UPDATE sessions SET visits = $1 WHERE id = $2\x00\x00\x00")
	bind := message('B', "\x00s1\x00\x00\x00\x00\x01\x00\x00\x00\x17abcdefghijklmnopqrstu42\x00\x00")
	for _, test := range []struct {
		store            config.StoreKind
		request          string
		setup            bool
		describe, answer string
		reply            string
	}{
		{config.StoreValkey, string(respRequest("GET a:1")), false, "GET a:1", "nothing", "$-1\r\n"},
		{config.StoreValkey, string(respRequest("SET k v NX EX 9")), false, "SET k NX", "OK", "+OK\r\n"},
		{config.StoreValkey, string(respRequest("HELLO 3", "CLIENT ID")), true, "HELLO 3; CLIENT ID", "5 values", "%5\r\n"},
		{config.StoreValkey, string(respRequest("PING", "DEL a b")), false, "PING; DEL a b", "2", ":2\r\n"},
		{config.StoreValkey, string(respRequest("EVALSHA abc 2 k1 k2 v")), false, "script k1 k2", "error ERR no", "-ERR no\r\n"},
		{config.StoreValkey, "*2\r\n$3\r\nGET\r\n$9\r\nab", false, "…", "text", "$4\r\ntext\r\n"},
		{config.StoreMemcached, "set key 0 60 3\r\nabc\r\n", false, "set key", "STORED", "STORED\r\n"},
		{config.StoreMemcached, "get a b\r\n", false, "get a b", "nothing", "END\r\n"},
		{config.StoreMemcached, "version\r\n", true, "version", "VERSION", "VERSION 1.6\r\n"},
		{config.StoreMemcached, binaryMessage(0x80, 0x02, 0, "lock.key"), false, "add lock.key", "EXISTS", binaryMessage(0x81, 0x02, 2, "")},
		{config.StoreMemcached, binaryMessage(0x80, 0x0d, 0, "a") + binaryMessage(0x80, 0x0a, 0, ""), false, "getkq a; noop", "OK", binaryMessage(0x81, 0x0d, 0, "")},
		{config.StoreMemcached, binaryMessage(0x80, 0x0b, 0, ""), true, "version", "error 0x84", binaryMessage(0x81, 0x0b, 0x84, "")},
		{config.StoreMemcached, binaryMessage(0x80, 0x00, 0, "a")[:24], false, "…", "", "\x81"},
		{config.StoreDynamoDB, "POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\n\r\n" +
			`{"Key":{"id":{"S":"abcdefghijklmnopqrstu42"}},"TableName":"sessions"}`, false, "GetItem abcdefghijklmnopqrstu42",
			"nothing", "HTTP/1.1 200 OK\r\n\r\n{}"},
		{config.StoreDynamoDB, "POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.DescribeTable\r\n\r\n{}", true, "DescribeTable",
			"ResourceNotFoundException", "HTTP/1.1 400 Bad\r\n\r\n" + `{"__type":"com.amazonaws#ResourceNotFoundException"}`},
		{config.StorePostgres, parse + message('S', ""), true, "", "", ""},
		{config.StorePostgres, parse + bind + message('E', "") + message('S', ""), false, "UPDATE sessions abcdefghijklmnopqrstu42",
			"UPDATE 1", message('C', "UPDATE 1\x00") + message('Z', "I")},
		{config.StorePostgres, message('Q', "BEGIN\x00"), true, "BEGIN", "error 40001", message('E', "SERROR\x00C40001\x00\x00")},
		{config.StorePostgres, message('Q', "SELECT set_config('TimeZone', 'UTC', false)\x00"), true, "SELECT set_config", "", ""},
		{config.StorePostgres, message('Q', "DELETE FROM sessions WHERE id = 1\x00"), false, "DELETE sessions", "", "Z"},
		{"", "\x00\x01\x02", false, "3 bytes", "1 bytes", "x"},
	} {
		p := newProtocol(test.store)
		if p, ok := p.(*postgres); ok {
			p.started = true
		}
		if got := p.setup([]byte(test.request)); got != test.setup {
			t.Errorf("%s %q: set-up %t, want %t", test.store, test.request, got, test.setup)
		}
		if got := strings.TrimSpace(p.describe([]byte(test.request))); got != test.describe {
			t.Errorf("%s %q: described as %q, want %q", test.store, test.request, got, test.describe)
		}
		if got := p.answered([]byte(test.reply)); got != test.answer {
			t.Errorf("%s %q: reply described as %q, want %q", test.store, test.reply, got, test.answer)
		}
	}
}

func TestErrorReplyOfBinaryMemcachedAnswersEachCommand(t *testing.T) {
	reply := string(memcached{}.failure([]byte(binaryMessage(0x80, 0x00, 0, "a") + binaryMessage(0x80, 0x04, 0, "b"))))
	for i, opcode := range []byte{0x00, 0x04} {
		header := binaryMessage(0x81, opcode, 0x84, injected)
		header = header[:2] + "\x00\x00" + header[4:] // the text is a value, not a key
		if one := reply[min(i*len(header), len(reply)):]; !strings.HasPrefix(one, header) {
			t.Errorf("reply %d: %q, want %q first", i+1, one, header)
		}
	}
}

func TestBodyOfATransactionPassesUntilExec(t *testing.T) {
	p := &resp{}
	for _, step := range []struct {
		command string
		passes  bool
	}{{"MULTI", true}, {"SET k v", true}, {"EXEC", false}, {"SET k v", false}} {
		if got := p.setup(respRequest(step.command)); got != step.passes {
			t.Errorf("%s: passes %t, want %t", step.command, got, step.passes)
		}
	}
}

func TestErrorReplyEndsPostgresTransaction(t *testing.T) {
	p := &postgres{statements: map[string]string{}}
	p.answered([]byte(message('Z', "T")))
	if reply := p.failure(nil); reply[0] != 'E' || reply[len(reply)-1] != 'E' {
		t.Errorf("reply %q in a transaction: want an error that fails the transaction", reply)
	}
}

func TestIdentifiersGetTheSameNamesInEveryRun(t *testing.T) {
	l := newLabels()
	l.apply("GET session:0123456789abcdef0123456789abcdef")
	l.first = "new"
	got := l.apply("0123456789abcdef0123456789abcdef aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 99999999999999999999 " +
		"GfTLtceZmOLmnkrgHQyESojlXg-aYCwDSnUDMeBFgIY")
	if want := "old aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa new new2"; got != want {
		t.Errorf("labels: %q, want %q", got, want)
	}
}

// FuzzProtocols gives the decoders bytes that no client or store sends: they must not panic or hang.
func FuzzProtocols(f *testing.F) {
	f.Add(respRequest("GET k", "MULTI"), []byte("$-1\r\n"))
	f.Add([]byte("*1000000\r\n$1000000\r\n"), []byte("*-1\r\n"))
	f.Add([]byte(binaryMessage(0x80, 0x00, 0, "key")), []byte(binaryMessage(0x81, 0x00, 1, "")))
	f.Add([]byte(message('B', "\x00\x00\xff\xff\xff\xff")), []byte(message('E', "C")))
	f.Add([]byte("POST / HTTP/1.1\r\nX-Amz-Target: a.B\r\n\r\n[[[{}]]]"), []byte("HTTP/1.1 200"))
	f.Fuzz(func(t *testing.T, request, reply []byte) {
		for _, store := range []config.StoreKind{config.StoreValkey, config.StoreMemcached, config.StorePostgres, config.StoreDynamoDB, ""} {
			p := newProtocol(store)
			if p, ok := p.(*postgres); ok {
				p.started = true
			}
			p.setup(request)
			if label := newLabels().apply(p.describe(request)); len(label) > maxLabel+len("…") {
				t.Errorf("a label of %d bytes, want at most %d", len(label), maxLabel)
			}
			p.answered(reply)
			p.failure(request)
		}
	})
}
