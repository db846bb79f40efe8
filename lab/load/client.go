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
	maxInFlight     = 10_000           // requests at a time; further ones wait, and their latency includes it
	maxBody         = 1 << 20          // bytes of a response's body
	maxHeader       = 64 << 10         // bytes of a response's header
	connectTimeout  = 10 * time.Second // unless the timeout of a request is shorter
	idleConnections = 90 * time.Second // the time for which idle connections stay open
)

// Classes of errors, besides http_ and a status.
const (
	errTimeout    = "timeout"    // no response within Options.Timeout
	errRefused    = "refused"    // the target doesn't listen
	errClosed     = "closed"     // the connection was closed or reset before the response was complete
	errDNS        = "dns"        // the host name is unknown
	errTLS        = "tls"        // the TLS handshake failed
	errConnection = "connection" // any other network error
	errUnreadable = "unreadable" // a 200 whose body is not one of the sample application
)

// client sends requests to one target over HTTP/1.1. With HTTP/2 all virtual users would share one connection, and real
// visitors' browsers don't.
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

// response is a response with the headers that the virtual user needs.
type response struct {
	check.Response
	setCookie []string
	location  string
}

// send sends the request and reads the whole response. It never fails: errors are in the response's Error.
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
	got, err := c.transport.RoundTrip(request)
	if err != nil {
		return response{Response: check.Response{Error: class(err)}}
	}
	defer got.Body.Close()
	r := response{
		Response:  check.Response{Server: got.Header.Get("X-Served-By"), Status: got.StatusCode},
		setCookie: got.Header["Set-Cookie"], location: got.Header.Get("Location"),
	}
	r.Body, err = io.ReadAll(io.LimitReader(got.Body, maxBody))
	if err != nil {
		r.Error = class(err)
	}
	return r
}

// class returns the class under which the error is counted.
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
