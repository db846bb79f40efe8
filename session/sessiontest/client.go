package sessiontest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// clientTimeout limits each request of a Client. It allows for a busy machine.
const clientTimeout = 30 * time.Second

// A Client sends requests as a browser does. It keeps cookies and sends them with each request, to any server, because cookies
// don't depend on the port. It doesn't follow redirects. Its methods are safe for concurrent use, like the tabs of a browser.
type Client struct {
	transport http.RoundTripper

	mu      sync.Mutex
	cookies map[string]string // by name
}

// NewClient returns a Client without cookies. It opens a new connection for each request, so that no request meets a connection
// that the server is about to close.
func NewClient() *Client {
	return &Client{transport: &http.Transport{DisableKeepAlives: true}, cookies: map[string]string{}}
}

// A Response is an HTTP response whose body has been read.
type Response struct {
	*http.Response
	Body string
}

// Do sends a request and returns its response. The body is sent as a form unless a header sets another Content-Type. A header has
// the form "Name: value". Do returns an error if the response doesn't arrive completely.
func (c *Client) Do(ctx context.Context, method, url, body string, headers ...string) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if request.Header.Set(name, value); name == "Host" {
			request.Host = value
		}
	}
	for name, value := range c.Cookies() {
		request.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return Response{}, fmt.Errorf("%s %s: %w", method, url, err)
	}
	defer response.Body.Close()
	c.storeCookies(response.Cookies())
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Response{}, fmt.Errorf("%s %s: read the body: %w", method, url, err)
	}
	return Response{response, string(text)}, nil
}

func (c *Client) storeCookies(cookies []*http.Cookie) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cookie := range cookies {
		c.cookies[cookie.Name] = cookie.Value
		if cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
		}
	}
}

// Cookies returns the values of the cookies by name.
func (c *Client) Cookies() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.cookies)
}

// SetCookie sets a cookie, or removes it if the value is empty.
func (c *Client) SetCookie(name, value string) {
	cookie := &http.Cookie{Name: name, Value: value}
	if value == "" {
		cookie.MaxAge = -1
	}
	c.storeCookies([]*http.Cookie{cookie})
}

// Clone returns another Client with the same cookies, for example for a thief who has copied them.
func (c *Client) Clone() *Client {
	clone := NewClient()
	clone.cookies = c.Cookies()
	return clone
}
