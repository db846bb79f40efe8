package attack

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/storeserver"
)

// A PostgreSQL that sends wrong replies or hangs causes a 503, whatever it sends.
func TestFaultyPostgres(t *testing.T) {
	sessiontest.Long(t)
	t.Parallel()
	store := storeserver.ForTest(t, storeserver.Postgres)
	l := newFaultProxy(t, store.Addr)
	// The URL has a password so that the faults can request every kind of authentication. The real server requests none.
	v := testedServer{proxy: l, settings: []string{"SESSION_STORE=postgres",
		"POSTGRES_URL=postgres://postgres:secret@" + l.addr + "/postgres?sslmode=disable"}}
	faults := []storeFault{
		{name: "never responds", run: hang},
		{name: "hangs up", run: disconnect},
		{name: "sends slowly", run: func(c net.Conn) { sendSlowly(c, "R\x00\x00\x10\x00"+strings.Repeat("\x00", 1000)) }},
		{name: "floods before the first command", run: func(c net.Conn) { sendEndlessly(c, "Z\x00\x00\x00\x05I") }},
		{name: "speaks HTTP", run: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); hang(c) }},
		{name: "ready at once", run: after(&pgproto3.ReadyForQuery{TxStatus: 'I'})},
		{name: "asks for a cleartext password again and again", run: func(c net.Conn) { sendEndlessly(c, encoded(&pgproto3.AuthenticationCleartextPassword{})) }},
		{name: "SCRAM without a mechanism", run: after(&pgproto3.AuthenticationSASL{})},
		{name: "an unknown mechanism", run: after(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"NONE"}})},
		{name: "SCRAM with an absurd cost", run: after(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}},
			&pgproto3.AuthenticationSASLContinue{Data: []byte("r=a,s=AAAA,i=2147483647")})},
		{name: "endless SCRAM", run: func(c net.Conn) {
			io.WriteString(c, encoded(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}))
			sendEndlessly(c, encoded(&pgproto3.AuthenticationSASLContinue{Data: []byte("r=a,s=AAAA,i=1")}))
		}},
		{name: "an unknown authentication", run: func(c net.Conn) { io.WriteString(c, "R\x00\x00\x00\x08\x00\x00\x00\x63"); hang(c) }},
		{name: "asks for a password and hangs", run: after(&pgproto3.AuthenticationMD5Password{})},
		{name: "endless parameters", run: func(c net.Conn) {
			io.WriteString(c, encoded(&pgproto3.AuthenticationOk{}))
			for i := range 1 << 24 {
				message := &pgproto3.ParameterStatus{Name: fmt.Sprint("parameter", i), Value: strings.Repeat("a", 1000)}
				if _, err := io.WriteString(c, encoded(message)); err != nil {
					return
				}
			}
		}},
		{name: "endless notices", run: func(c net.Conn) {
			io.WriteString(c, encoded(&pgproto3.AuthenticationOk{}))
			sendEndlessly(c, encoded(&pgproto3.NoticeResponse{Severity: "NOTICE", Message: "again"}))
		}},
		{name: "a message of -1 bytes", run: func(c net.Conn) { io.WriteString(c, "R\xff\xff\xff\xff"); hang(c) }},
		{name: "a message of 2 GB", run: func(c net.Conn) { io.WriteString(c, "R\x7f\xff\xff\xff"); sendEndlessly(c, "a") }},
		{name: "a message of 1 GB", run: func(c net.Conn) { io.WriteString(c, "E\x3f\xff\xff\xff"); sendEndlessly(c, "a") }},
		{name: "endless rows for the first query", run: func(c net.Conn) {
			io.WriteString(c, encoded(&pgproto3.AuthenticationOk{})+encoded(&pgproto3.ReadyForQuery{TxStatus: 'I'}))
			io.WriteString(c, encoded(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("a"), DataTypeOID: 25}}}))
			sendEndlessly(c, encoded(&pgproto3.DataRow{Values: [][]byte{[]byte("off")}}))
		}},
		{name: "a standby", run: after(&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "in_hot_standby", Value: "on"},
			&pgproto3.ParameterStatus{Name: "default_transaction_read_only", Value: "on"}, &pgproto3.ReadyForQuery{TxStatus: 'I'})},
	}
	for _, code := range []string{"", "00000", "08006", "25006", "28P01", "3D000", "40001", "42P01", "42501", "53300", "57P01", "57P03", "XX000", "an error"} {
		faults = append(faults, storeFault{name: "a greeting of error " + code, run: after(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: "no"})})
	}
	row := func(values ...string) *pgproto3.DataRow {
		var r pgproto3.DataRow
		for _, value := range values {
			r.Values = append(r.Values, []byte(value))
		}
		return &r
	}
	for _, replaced := range []struct {
		name string
		kind byte // the kind of message that is replaced
		with string
	}{
		{"an error instead of rows", 'D', encoded(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "XX000", Message: "no"})},
		{"a fatal error", 'D', encoded(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P01", Message: "no"})},
		{"an error without a field", 'D', "E\x00\x00\x00\x05\x00"},
		{"an error cut short", 'D', "E\x00\x00\x00\x06SE"},
		{"no field", 'D', encoded(row())},
		{"one field", 'D', encoded(row("live"))},
		{"a hundred fields", 'D', encoded(row(strings.Split(strings.Repeat("a,", 100), ",")...))},
		{"null fields", 'D', encoded(&pgproto3.DataRow{Values: make([][]byte, 7)})},
		{"fields of NUL", 'D', encoded(row("\x00", "\x00", "\x00", "\x00", "\x00", "\x00", "\x00"))},
		{"fields with wrong types", 'D', encoded(row("live", "soon", "later", "never", "a", "b", "{"))},
		{"an unknown outcome", 'D', encoded(row("dead", "1234567", "12345678", "12345678", "", "", "{}"))},
		{"infinite times", 'D', encoded(row("live", "\x7f\xff\xff\xff\xff\xff\xff\xff", "\x7f\xff\xff\xff\xff\xff\xff\xff", "\x7f\xff\xff\xff\xff\xff\xff\xff", "", "", "{}"))},
		{"times beyond the calendar", 'D', encoded(row("live", "\x7f\xff\xff\xff\xff\xff\xff\xfe", "\x7f\xff\xff\xff\xff\xff\xff\xfe", "\x7f\xff\xff\xff\xff\xff\xff\xfe", "", "", "{}"))},
		{"a row cut short", 'D', "D\x00\x00\x00\x0a\x00\x07\x00\x00\x00\x09"},
		{"a row with 65,535 fields", 'D', "D\x00\x00\x00\x06\xff\xff"},
		{"a field of -2 bytes", 'D', "D\x00\x00\x00\x0a\x00\x01\xff\xff\xff\xfe"},
		{"a field of 2 GB", 'D', "D\x00\x00\x00\x0a\x00\x01\x7f\xff\xff\xff"},
		{"a message of 1 byte", 'D', "D\x00\x00\x00\x01"},
		{"a message of 1 GB", 'D', "D\x3f\xff\xff\xff"},
		{"an unknown message", 'D', "?\x00\x00\x00\x04"},
		{"a row description cut short", 'T', "T\x00\x00\x00\x06\xff\xff"},
		{"no columns", 'T', encoded(&pgproto3.RowDescription{})},
		{"nothing instead of columns", 'T', encoded(&pgproto3.NoData{})},
		{"a statement with 65,535 parameters", 't', "t\x00\x00\x00\x06\xff\xff"},
		{"a statement without parameters", 't', encoded(&pgproto3.ParameterDescription{})},
		{"parameters with other types", 't', encoded(&pgproto3.ParameterDescription{ParameterOIDs: []uint32{16, 16, 16, 16, 16, 16, 16, 16, 16, 16}})},
		{"an error instead of the end", 'C', encoded(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "40001", Message: "no"})},
	} {
		faults = append(faults, storeFault{name: replaced.name, run: l.replacing(replaced.kind, func(to io.Writer, _ []byte) { io.WriteString(to, replaced.with) })})
	}
	faults = append(faults,
		// The client ignores these messages. The first statement returns no row, the second one row.
		storeFault{name: "a copy instead of rows", status: http.StatusOK, run: l.replacing('D', func(to io.Writer, _ []byte) {
			io.WriteString(to, encoded(&pgproto3.CopyInResponse{}))
		})},
		storeFault{name: "an empty query instead of the end", status: http.StatusOK, run: l.replacing('C', func(to io.Writer, _ []byte) {
			io.WriteString(to, encoded(&pgproto3.EmptyQueryResponse{}))
		})},
		storeFault{name: "endless rows", run: l.replacing('D', func(to io.Writer, message []byte) { sendEndlessly(to, string(message)) })},
		storeFault{name: "an endless row", run: l.replacing('D', func(to io.Writer, _ []byte) { io.WriteString(to, "D\x3f\xff\xff\xff"); sendEndlessly(to, "a") })},
		storeFault{name: "a row that is sent slowly", run: l.replacing('D', func(to io.Writer, message []byte) { sendSlowly(to, string(message)) })},
		storeFault{name: "notices instead of rows", run: l.replacing('D', func(to io.Writer, _ []byte) {
			sendEndlessly(to, encoded(&pgproto3.NoticeResponse{Severity: "NOTICE", Message: "again"}))
		})},
		storeFault{name: "notifications instead of rows", run: l.replacing('D', func(to io.Writer, _ []byte) {
			sendEndlessly(to, encoded(&pgproto3.NotificationResponse{Channel: "a", Payload: "b"}))
		})},
		storeFault{name: "half a row, and hangs up", run: l.replacing('D', func(to io.Writer, message []byte) {
			to.Write(message[:len(message)/2])
			to.(net.Conn).Close()
		})},
		storeFault{name: "never ready", run: l.replacing('C', func(io.Writer, []byte) {})},
		storeFault{name: "endless columns", run: l.replacing('T', func(to io.Writer, message []byte) { sendEndlessly(to, string(message)) })},
	)
	v.runFaults(t, faults)
}

func encoded(message pgproto3.BackendMessage) string {
	text, err := message.Encode(nil)
	if err != nil {
		panic(err) // a mistake in this file
	}
	return string(text)
}

// after sends the messages after the client's first message, and then nothing.
func after(messages ...pgproto3.BackendMessage) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return
		}
		for _, message := range messages {
			io.WriteString(conn, encoded(message))
		}
		hang(conn)
	}
}

// replacing returns a fault that forwards the replies of the real store, but has replace write another message for each message of
// the kind. It does so only after the client has prepared a statement, so the replies while it connects are unchanged.
func (l *faultProxy) replacing(kind byte, replace func(to io.Writer, message []byte)) func(net.Conn) {
	return func(conn net.Conn) {
		l.pass(conn, func(to io.Writer, from io.Reader) {
			reader := bufio.NewReader(from)
			prepared := false
			for range 1 << 24 {
				head, err := reader.Peek(5)
				if err != nil {
					return
				}
				message := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
				if _, err := io.ReadFull(reader, message); err != nil {
					return
				}
				prepared = prepared || message[0] == '1' // ParseComplete
				if prepared && message[0] == kind {
					replace(to, message)
				} else if _, err := to.Write(message); err != nil {
					return
				}
			}
		})
	}
}
