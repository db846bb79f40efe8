package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/storeserver"
)

// A Valkey that sends wrong replies or hangs causes a 503, whatever it sends.
func TestFaultyValkey(t *testing.T) {
	sessiontest.Long(t)
	t.Parallel()
	store := storeserver.ForTest(t, storeserver.Valkey)
	l := newFaultProxy(t, store.Addr)
	v := testedServer{proxy: l, settings: []string{"SESSION_STORE=valkey", "VALKEY_ADDRESS=" + l.addr}}
	faults := []storeFault{
		{name: "never responds", run: hang},
		{name: "hangs up", run: disconnect},
		{name: "sends slowly", run: func(c net.Conn) { sendSlowly(c, strings.Repeat("*1\r\n$1\r\na\r\n", 1000)) }},
		{name: "floods before the first command", run: func(c net.Conn) { sendEndlessly(c, "+OK\r\n") }},
		{name: "an endless line", run: func(c net.Conn) { sendEndlessly(c, "+") }},
		{name: "speaks HTTP", run: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); hang(c) }},
		{name: "an empty greeting", run: replyToAll("%0\r\n"), status: http.StatusOK},
		{name: "a greeting that is a negative map", run: replyToAll("%-1\r\n")},
	}
	for _, said := range []struct{ name, reply string }{
		{"a string of length -5", "$-5\r\n"},
		{"a string of length -1", "$-1\r\n"},
		{"a string of 2 GB", "$2147483647\r\na"},
		{"a string of 2^63", "$9223372036854775808\r\na"},
		{"a string whose length overflows", "$99999999999999999999999999999999\r\na"},
		{"a string without a length", "$\r\n"},
		{"a string with a length that is a word", "$five\r\nabcde\r\n"},
		{"a string cut short", "$100\r\nabc\r\n"},
		{"an array of length -5", "*-5\r\n"},
		{"an array of 2^31-1", "*2147483647\r\n"},
		{"an array of 2^62", "*4611686018427387904\r\n"},
		{"a map of 2^31-1", "%2147483647\r\n"},
		{"a map of length -1", "%-1\r\n"},
		{"a set of length -2", "~-2\r\n"},
		{"attributes of length -2", "|-2\r\n"},
		{"arrays within arrays", strings.Repeat("*1\r\n", 2_000_000)},
		{"large arrays within large arrays", strings.Repeat("*400000\r\n", 300)},
		{"a streamed string", "$?\r\n;-5\r\n"},
		{"a streamed string of 2 GB", "$?\r\n;2147483647\r\n"},
		{"a streamed array", "*?\r\n" + strings.Repeat("$1\r\na\r\n", 3_000_000)},
		{"a map with half an entry", "*3\r\n+a\r\n+b\r\n+c\r\n"},
		{"a map of maps", "%1\r\n%1\r\n+a\r\n+b\r\n%1\r\n+a\r\n+b\r\n"},
		{"a boolean", "#t\r\n"},
		{"a broken boolean", "#t$-5\r\n"},
		{"a null", "_\r\n"},
		{"a broken null", "_$-5\r\n\r\n"},
		{"a double", ",1.5\r\n"},
		{"a number", ":9223372036854775807\r\n"},
		{"a number that is a word", ":abc\r\n"},
		{"an unknown type", "@1\r\n"},
		{"NUL", "\x00\r\n"},
		{"line feeds alone", "$5\nabcde\n"},
		{"an error without text", "-\r\n"},
		{"an error", "-ERR no\r\n"},
		{"loading", "-LOADING the data\r\n"},
		{"read-only", "-READONLY you can't write\r\n"},
		{"NOSCRIPT for every script", "-NOSCRIPT no\r\n"},
		{"MOVED without a target", "-MOVED\r\n"},
		{"ASK without a target", "-ASK\r\n"},
		{"a blob error", "!5\r\nMOVED\r\n"},
		{"two replies to one command", "$1\r\na\r\n$1\r\nb\r\n"},
		{"a thousand replies", strings.Repeat("$1\r\na\r\n", 1000)},
		{"a subscription", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"},
		{"an unsubscription", ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n$1\r\na\r\n"},
		{"an empty push", ">0\r\n"},
		{"a session with fields without values", "$3\r\na\x00\xff\r\n"},
		{"a session without times", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
	} {
		faults = append(faults, storeFault{name: said.name, run: func(c net.Conn) {
			greet(c, noCluster, func(string) string { return said.reply })
		}})
	}
	const created, late = "0", "253402300799000" // the end of the year 9999
	for _, kept := range []struct {
		name                   string
		created, expires, idle string
		visits                 string
		status                 int
	}{
		{"times that are not numbers", "soon", "later", "never", "1", 0},
		{"times beyond the calendar", "9223372036854775807", "9223372036854775807", "9223372036854775807", "1", http.StatusServiceUnavailable},
		{"times before the calendar", "-9223372036854775808", late, late, "1", http.StatusServiceUnavailable},
		{"a counter that is not a number", created, late, late, `"many"`, http.StatusUnprocessableEntity},
		{"a counter out of range", created, late, late, "9007199254740993", http.StatusUnprocessableEntity},
		{"a session that was never stored", created, late, late, "7", http.StatusOK},
	} {
		fields := []string{"@created", kept.created, "@expires", kept.expires, "@idle", kept.idle, "visits", kept.visits}
		text := strings.Join(fields, "\x00\xff")
		faults = append(faults, storeFault{name: kept.name, status: kept.status, run: func(c net.Conn) {
			greet(c, noCluster, func(command string) string {
				if strings.HasPrefix(command, "HGETALL") {
					return array(fields)
				}
				return "$" + strconv.Itoa(len(text)) + "\r\n" + text + "\r\n"
			})
		}})
	}
	v.runFaults(t, faults)
}

// A cluster that sends wrong nodes and slots causes a 503. Each fault gets a new server, because a running one has the correct
// slots already.
func TestFaultyValkeyCluster(t *testing.T) {
	sessiontest.Long(t)
	t.Parallel()
	store := storeserver.ValkeyCluster(t, 1, 0)[0]
	l := newFaultProxy(t, store.Addr)
	v := testedServer{proxy: l, settings: []string{"SESSION_STORE=valkey", "VALKEY_ADDRESS=" + l.addr}}
	var faults []storeFault
	const no = "-ERR no\r\n"
	for _, said := range []struct{ name, slots, reply string }{
		{"no slots", "*0\r\n", no},
		{"slots without nodes", "*1\r\n*2\r\n:0\r\n:16383\r\n", no},
		{"wrong types", "*1\r\n*3\r\n+a\r\n$-1\r\n*2\r\n:1\r\n+x\r\n", no},
		{"far too many slots", "*1\r\n*3\r\n:-9\r\n:9223372036854775807\r\n*2\r\n$9\r\n127.0.0.1\r\n:1\r\n", no},
		{"an absurd number of slots", "*2147483647\r\n", no},
		{"every slot has moved, again and again", oneNode(l.addr), "-MOVED 1 " + l.addr + "\r\n"},
		{"every slot has moved, without a target", oneNode(l.addr), "-MOVED\r\n"},
		{"ASK without an address", oneNode(l.addr), "-ASK 1\r\n"},
		{"try again", oneNode(l.addr), "-TRYAGAIN later\r\n"},
		{"the cluster is down", oneNode(l.addr), "-CLUSTERDOWN the hash slot is not served\r\n"},
	} {
		faults = append(faults, storeFault{name: said.name, fresh: true, run: func(c net.Conn) { greet(c, said.slots, func(string) string { return said.reply }) }})
	}
	v.runFaults(t, faults)
}

// commands returns a function that reads the client's next command, its words separated by spaces.
func commands(conn net.Conn) func() (string, error) {
	reader := bufio.NewReader(conn)
	length := func() (n int, err error) {
		line, err := reader.ReadString('\n')
		if err == nil {
			n, err = strconv.Atoi(strings.TrimSpace(line[1:]))
		}
		return n, err
	}
	return func() (string, error) {
		n, err := length()
		var words []string
		for ; err == nil && n > 0; n-- {
			var size int
			if size, err = length(); err == nil {
				word := make([]byte, size+2)
				_, err = io.ReadFull(reader, word)
				words = append(words, string(word[:size]))
			}
		}
		return strings.Join(words, " "), err
	}
}

// greet replies to the greeting, returns slots for CLUSTER SLOTS, and the reply for every other command.
func greet(conn net.Conn, slots string, reply func(command string) string) {
	serveReplies(conn, commands(conn), func(command string) string {
		switch word, _, _ := strings.Cut(command, " "); word {
		case "HELLO":
			return "%2\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n"
		case "CLUSTER":
			return slots
		case "CLIENT", "ASKING":
			return "+OK\r\n"
		}
		return reply(command)
	})
}

// noCluster is the reply of a server without cluster mode to CLUSTER SLOTS.
const noCluster = "-ERR This instance has cluster support disabled\r\n"

// oneNode returns the reply of a cluster with a single node at addr to CLUSTER SLOTS.
func oneNode(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$%d\r\n%s\r\n:%s\r\n", len(host), host, port)
}

// replyToAll returns a fault that replies to every command with the reply, to the greeting too.
func replyToAll(reply string) func(net.Conn) {
	return func(conn net.Conn) { serveReplies(conn, commands(conn), func(string) string { return reply }) }
}

func array(words []string) string {
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	return text
}
