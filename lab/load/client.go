package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"stateless-servers/lab/check"
)

const (
	maxInFlight     = 10_000           // requests at a time; at more, they wait, which their latency shows
	maxBody         = 1 << 20          // bytes that are read of an answer's body
	maxHeader       = 64 << 10         // and of its header
	connectTimeout  = 10 * time.Second // at most; the timeout of a request may be shorter
	idleConnections = 90 * time.Second // are kept for that long
)

// Classes of errors, besides http_ and a status.
const (
	errTimeout    = "timeout"    // no answer within Options.Timeout
	errRefused    = "refused"    // nobody listens
	errClosed     = "closed"     // the connection was closed or reset before the answer was complete
	errDNS        = "dns"        // the name is unknown
	errTLS        = "tls"        // no secure connection
	errConnection = "connection" // anything else on the way
	errUnreadable = "unreadable" // a 200 that isn't what the sample application answers
)

// client sends requests to the one target, over HTTP/1.1: every visitor is a browser of its own, and with HTTP/2 all of
// them would share a connection.
type client struct {
	base      *url.URL
	timeout   time.Duration
	transport *http.Transport
}

func newClient(base *url.URL, timeout time.Duration) *client {
	return &client{base, timeout, &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
		MaxIdleConns:        maxInFlight,
		MaxIdleConnsPerHost: maxInFlight,
		IdleConnTimeout:     idleConnections,
		DisableCompression:  true,

		MaxResponseHeaderBytes: maxHeader,
	}}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// response is what came back.
type response struct {
	check.Response
	setCookie []string
	location  string
}

// send sends the request and reads all of the answer. It never fails: what goes wrong is in the response's Error.
func (c *client) send(ctx context.Context, o outgoing) response {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request := (&http.Request{
		Method: o.method, URL: &url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: o.path}, Host: c.base.Host,
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {"lab-load"}},
	}).WithContext(ctx)
	if o.cookies != "" {
		request.Header["Cookie"] = []string{o.cookies}
	}
	if o.form != "" {
		request.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(o.form)), int64(len(o.form))
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return response{Response: check.Response{Error: class(err)}}
	}
	defer response.Body.Close()
	r := response{
		Response:  check.Response{Server: response.Header.Get("X-Served-By"), Status: response.StatusCode},
		setCookie: response.Header["Set-Cookie"], location: response.Header.Get("Location"),
	}
	r.Body, err = io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		r.Error = class(err)
	}
	return r
}

// class names the error, for counts.
func class(err error) string {
	var timeout net.Error
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var host x509.HostnameError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return errTimeout
	case errors.As(err, &dns):
		return errDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return errRefused
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &host):
		return errTLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "server closed"):
		return errClosed
	}
	return errConnection
}
