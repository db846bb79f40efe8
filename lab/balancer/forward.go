package balancer

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// rewrite makes the request to the target out of the visitor's. Host stays, for the server compares it with Origin.
func (t *target) rewrite(r *httputil.ProxyRequest) {
	in, out := r.In, r.Out
	out.URL.Scheme, out.URL.Host = "http", t.address
	out.URL.RawQuery = in.URL.RawQuery // as it came, though it may be malformed
	if out.Body == nil {
		// Transport sends a request without a body again when a kept connection turns out to be closed. With a body that it
		// can't rewind, it never does. "identity" says that the body ends where it ends: no chunks, no look ahead.
		out.Body, out.TransferEncoding = unrepeatable{}, []string{"identity"}
	}

	proto, port := "http", "80"
	if in.TLS != nil {
		proto, port = "https", "443"
	}
	if local, ok := in.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		port = strconv.Itoa(local.Port)
	}
	visitor, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		visitor = in.RemoteAddr
	}
	if before := in.Header["X-Forwarded-For"]; len(before) > 0 {
		visitor = strings.Join(before, ", ") + ", " + visitor
	}
	values := [...]string{visitor, proto, port, traceID(in.Header.Get("X-Amzn-Trace-Id"))}
	out.Header["X-Forwarded-For"] = values[0:1:1]
	out.Header["X-Forwarded-Proto"] = values[1:2:2]
	out.Header["X-Forwarded-Port"] = values[2:3:3]
	out.Header["X-Amzn-Trace-Id"] = values[3:4:4]
}

// unrepeatable is an empty body of which Transport doesn't know that it is empty.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error)         { return 0, io.EOF }
func (unrepeatable) WriteTo(io.Writer) (int64, error) { return 0, nil } // spares a copy buffer of 32 KB
func (unrepeatable) Close() error                     { return nil }

// traceID is the value of X-Amzn-Trace-Id: a new root, or, where the visitor sent one with a root, that one with this
// balancer's own id before it.
func traceID(received string) string {
	if !strings.Contains(received, "Root=") {
		root := "Root=" + newTrace()
		if received == "" {
			return root
		}
		return received + ";" + root
	}
	return "Self=" + newTrace() + ";" + received
}

// newTrace is version 1 of AWS X-Ray's trace ids: 1-, the time in 8 hexadecimal digits, 24 random ones.
func newTrace() string {
	var id [35]byte
	copy(id[:], "1-")
	var raw [16]byte
	binary.BigEndian.PutUint32(raw[:], uint32(time.Now().Unix())) // #nosec G115 -- wraps in 2106
	binary.BigEndian.PutUint32(raw[4:], rand.Uint32())            // #nosec G404 -- a trace id
	binary.BigEndian.PutUint64(raw[8:], rand.Uint64())            // #nosec G404 -- a trace id
	hex.Encode(id[2:10], raw[:4])
	id[10] = '-'
	hex.Encode(id[11:], raw[4:])
	return string(id[:])
}

// printable reports whether the value has printable ASCII characters only, as httputil.ReverseProxy expects of Upgrade.
func printable(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}

// answer is a page of the balancer's own.
func answer(w http.ResponseWriter, status int, why string) {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!doctype html><html lang=\"en\"><title>"+title+"</title><h1>"+title+"</h1><p>"+why+"</p></html>\n")
}
