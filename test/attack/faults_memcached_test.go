package attack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/storeserver"
)

// A Memcached that sends wrong replies or hangs causes a 503, whatever it sends.
func TestFaultyMemcached(t *testing.T) {
	t.Parallel()
	store := storeserver.ForTest(t, storeserver.Memcached)
	l := newFaultProxy(t, store.Addr)
	v := testedServer{proxy: l, settings: []string{"SESSION_STORE=memcached", "MEMCACHED_ADDRESSES=" + l.addr},
		unsupported: []string{"/api/sessions", "/logout/everywhere", "/api/leaderboard", "/api/scores"}}
	faults := []storeFault{
		{name: "never responds", run: hang},
		{name: "hangs up", run: disconnect},
		{name: "sends slowly", run: func(c net.Conn) { sendSlowly(c, "VALUE a 0 1000 1\r\n"+strings.Repeat("a", 1000)) }},
		{name: "floods before the first command", run: func(c net.Conn) { sendEndlessly(c, "STORED\r\n") }},
		{name: "an endless line", run: func(c net.Conn) { sendEndlessly(c, "V") }},
		{name: "speaks HTTP", run: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); hang(c) }},
		{name: "endless items", run: memcachedReplies(func(to io.Writer, key string) {
			sendEndlessly(to, fmt.Sprintf("VALUE %s 0 2 1\r\n{}\r\n", key))
		})},
		{name: "an item of 4 GB", run: memcachedReplies(func(to io.Writer, key string) {
			fmt.Fprintf(to, "VALUE %s 0 4294967295 1\r\n", key)
			sendEndlessly(to, "a")
		})},
		{name: "many small items", run: memcachedReplies(func(to io.Writer, key string) {
			sendEndlessly(to, strings.Repeat(fmt.Sprintf("VALUE %s 0 1 1\r\na\r\n", key), 100))
		})},
		{name: "an item that is sent slowly", run: memcachedReplies(func(to io.Writer, key string) {
			fmt.Fprintf(to, "VALUE %s 0 1000 1\r\n", key)
			sendSlowly(to, strings.Repeat("a", 1000))
		})},
		{name: "items, one every 5 ms", run: memcachedReplies(func(to io.Writer, key string) {
			for range 10_000 {
				if _, err := fmt.Fprintf(to, "VALUE %s 0 2 1\r\n{}\r\n", key); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})},
	}
	for _, said := range []struct{ name, reply string }{ // %[1]s is the key
		{"ERROR", "ERROR\r\n"},
		{"a client error", "CLIENT_ERROR no\r\n"},
		{"a server error", "SERVER_ERROR out of memory\r\n"},
		{"BUSY", "BUSY too much\r\n"},
		{"an empty line", "\r\n"},
		{"NUL", "\x00"},
		{"no carriage returns", "VALUE %[1]s 0 2 1\n{}\nEND\n"},
		{"an item of 2^32 bytes", "VALUE %[1]s 0 4294967296 1\r\n"},
		{"an item of -1 byte", "VALUE %[1]s 0 -1 1\r\n"},
		{"a size that is a word", "VALUE %[1]s 0 two 1\r\n"},
		{"an item without a size", "VALUE %[1]s\r\n"},
		{"an item without anything", "VALUE\r\n"},
		{"flags beyond 32 bits", "VALUE %[1]s 4294967296 2 1\r\n{}\r\nEND\r\n"},
		{"a version that is not a number", "VALUE %[1]s 0 2 one\r\n{}\r\nEND\r\n"},
		{"a version beyond 64 bits", "VALUE %[1]s 0 2 18446744073709551616\r\n{}\r\nEND\r\n"},
		{"no version", "VALUE %[1]s 0 2\r\n{}\r\nEND\r\n"},
		{"longer than declared", "VALUE %[1]s 0 2 1\r\n{}{}{}\r\nEND\r\n"},
		{"shorter than declared", "VALUE %[1]s 0 20 1\r\n{}\r\nEND\r\n"},
		{"no end", "VALUE %[1]s 0 2 1\r\n{}\r\n"},
		{"an item and an end and an item", "VALUE %[1]s 0 2 1\r\nno\r\nEND\r\nVALUE %[1]s 0 2 1\r\n{}\r\nEND\r\n"},
		{"STORED", "STORED\r\n"},
	} {
		faults = append(faults, storeFault{name: said.name, run: memcachedReplies(func(to io.Writer, key string) {
			if reply := said.reply; strings.Contains(reply, "%[1]s") {
				fmt.Fprintf(to, reply, key)
			} else {
				io.WriteString(to, reply)
			}
		})})
	}
	session := func(field, value string) string { // a valid session except for this field
		fields := map[string]json.RawMessage{
			"created": []byte(`"2026-01-01T00:00:00Z"`), "expires": []byte(`"2999-01-01T00:00:00Z"`), "idle": []byte(`"2999-01-01T00:00:00Z"`),
			"user": []byte(`"YWRh"`), "values": []byte(`{"visits":"1"}`),
		}
		if field != "" {
			fields[field] = json.RawMessage(value)
		}
		text := "{"
		for name, value := range fields {
			text += fmt.Sprintf("%q:%s,", name, value)
		}
		return text[:len(text)-1] + "}"
	}
	for _, kept := range []struct {
		name, item string
		status     int
	}{
		{"an empty item", "", 0},
		{"an item of NUL", "\x00", 0},
		{"an item that is a list", "[1]", 0},
		{"an item that is a string", `"a"`, 0},
		{"JSON cut short", `{"created":`, 0},
		{"JSON and more", `{}{}`, 0},
		{"JSON nested without end", strings.Repeat(`{"a":`, 200_000), 0},
		{"lists nested without end", strings.Repeat("[", 900_000), 0},
		{"a time that is a number", session("created", "1"), 0},
		{"a time beyond the calendar", session("created", `"99999-01-01T00:00:00Z"`), 0},
		{"a time that is a word", session("expires", `"tomorrow"`), 0},
		{"a user that isn't base64", session("user", `"%%%"`), 0},
		{"a user that is a number", session("user", "5"), 0},
		{"values that are a list", session("values", "[]"), 0},
		{"values that are numbers", session("values", `{"visits":1}`), 0},
		{"a value that is a map", session("values", `{"visits":{"a":"b"}}`), 0},
		{"a counter that is not a number", session("values", `{"visits":"\"many\""}`), http.StatusUnprocessableEntity},
		{"a counter out of range", session("values", `{"visits":"9007199254740993"}`), http.StatusUnprocessableEntity},
		{"an end that is a word", session("ended", `"soon"`), 0},
		{"a session that was never stored", session("", ""), http.StatusOK},
	} {
		faults = append(faults, storeFault{name: kept.name, status: kept.status, run: memcachedReplies(func(to io.Writer, key string) {
			fmt.Fprintf(to, "VALUE %s 0 %d 1\r\n%s\r\nEND\r\n", key, len(kept.item), kept.item)
		})})
	}
	for name, key := range map[string]string{
		"another key's item": "session:" + strings.Repeat("A", 43), "no key's item": "",
	} {
		faults = append(faults, storeFault{name: name, run: memcachedReplies(func(to io.Writer, _ string) {
			item := session("", "")
			fmt.Fprintf(to, "VALUE %s 0 %d 1\r\n%s\r\nEND\r\n", key, len(item), item)
		})})
	}
	v.runFaults(t, faults)
}

// memcachedReplies greets the client, has respond write the reply to each gets, and refuses to store.
func memcachedReplies(respond func(to io.Writer, key string)) func(net.Conn) {
	return func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for range 1 << 20 {
			line, err := reader.ReadString('\n')
			words := strings.Fields(line)
			if err != nil || len(words) == 0 || len(words) < 5 && words[0] != "gets" && words[0] != "version" {
				return
			}
			switch words[0] {
			case "gets":
				respond(conn, words[1])
			case "version":
				io.WriteString(conn, "VERSION 1.6\r\n")
			default: // add and cas: key, flags, expiry, size
				size, err := strconv.Atoi(words[4])
				if err != nil {
					return
				}
				if _, err := io.CopyN(io.Discard, reader, int64(size)+2); err != nil {
					return
				}
				respond(conn, words[1])
			}
		}
	}
}
