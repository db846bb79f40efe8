package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// A client keeps the cookie of one session. It sends one request at a time, to any server that shares the session.
type client struct {
	http   *http.Client
	cookie string
	visits int64 // the number of writes that send has sent
}

// newHTTPClient returns an HTTP client that keeps up to maxIdle idle connections to a server.
func newHTTPClient(maxIdle int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxIdle}}
}

// newClient returns a client with a new session, which it starts on the server at the URL.
func newClient(ctx context.Context, httpClient *http.Client, server string) (*client, error) {
	c := &client{http: httpClient}
	response, err := c.do(ctx, http.MethodPost, server+"/start")
	if err != nil {
		return nil, fmt.Errorf("start a session: %w", err)
	}
	response.Body.Close()
	cookies := response.Cookies()
	if response.StatusCode != http.StatusOK || len(cookies) != 1 {
		return nil, fmt.Errorf("start a session: %s, %d cookies", response.Status, len(cookies))
	}
	c.cookie = cookies[0].Name + "=" + cookies[0].Value
	return c, nil
}

// send sends a request for the route to the server and checks the response: after n writes, the session has n visits.
func (c *client) send(ctx context.Context, server, route string) error {
	method, want := http.MethodGet, c.visits
	switch route {
	case routeUntouched:
		want = 0
	case routeWrite:
		c.visits++
		method, want = http.MethodPost, c.visits
	}
	got, err := c.requestVisits(ctx, method, server+"/"+route)
	if err == nil && got != want {
		err = fmt.Errorf("response of %s: %d visits, want %d", route, got, want)
	}
	return err
}

// A statusError reports a response with a status other than 200.
type statusError struct{ text string }

func (e statusError) Error() string { return e.text }

// requestVisits sends one request and returns the visit count in the response.
func (c *client) requestVisits(ctx context.Context, method, url string) (int64, error) {
	response, err := c.do(ctx, method, url)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, statusError{fmt.Sprintf("%s %s: %s: %s", method, url, response.Status, text)}
	}
	var body struct{ Visits int64 }
	if err := json.Unmarshal(text, &body); err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, url, err)
	}
	return body.Visits, nil
}

func (c *client) do(ctx context.Context, method, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", userAgent)
	if c.cookie != "" {
		request.Header.Set("Cookie", c.cookie)
	}
	return c.http.Do(request)
}
