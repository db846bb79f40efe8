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

// rewrite makes the request to the target from the client's. Host stays, because the server compares it with Origin.
func (t *target) rewrite(r *httputil.ProxyRequest) {
	in, out := r.In, r.Out
	out.URL.Scheme, out.URL.Host = "http", t.address
	out.URL.RawQuery = in.URL.RawQuery // unchanged, even if it is malformed
	if out.Body == nil {
		// http.Transport retries a request without a body when it finds a reused connection closed. It never retries one with
		// a body that it can't rewind. "identity" keeps it from sending chunks and from probing the body's length.
		out.Body, out.TransferEncoding = nonReplayableBody{}, []string{"identity"}
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

// nonReplayableBody is an empty body that http.Transport doesn't recognize as empty.
type nonReplayableBody struct{}

func (nonReplayableBody) Read([]byte) (int, error)         { return 0, io.EOF }
func (nonReplayableBody) WriteTo(io.Writer) (int64, error) { return 0, nil } // saves a copy buffer of 32 KB
func (nonReplayableBody) Close() error                     { return nil }

// traceID returns the value of X-Amzn-Trace-Id. If the client sent a root, it is prefixed with an id of this balancer;
// otherwise a new root is added.
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

// newTrace returns a trace id of AWS X-Ray, version 1: 1-, the time in 8 hexadecimal digits, and 24 random digits.
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
