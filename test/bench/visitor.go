package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// A visitor has a session, and sends one request after another to any server that knows it.
type visitor struct {
	client *http.Client
	cookie string
	visits int64 // as many as writes of send were answered
}

// newClient returns a client that keeps a connection for each of so many visitors.
func newClient(visitors int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: visitors}}
}

// newVisitor starts a session on the server at a URL.
func newVisitor(ctx context.Context, client *http.Client, server string) (*visitor, error) {
	v := &visitor{client: client}
	response, err := v.do(ctx, http.MethodPost, server+"/start")
	if err != nil {
		return nil, fmt.Errorf("start a session: %w", err)
	}
	response.Body.Close()
	cookies := response.Cookies()
	if response.StatusCode != http.StatusOK || len(cookies) != 1 {
		return nil, fmt.Errorf("start a session: %s, %d cookies", response.Status, len(cookies))
	}
	v.cookie = cookies[0].Name + "=" + cookies[0].Value
	return v, nil
}

// send sends the route's request to the server, and checks the answer: a session that has seen n writes counts n visits.
func (v *visitor) send(ctx context.Context, server, route string) error {
	method, want := http.MethodGet, v.visits
	switch route {
	case routeUntouched:
		want = 0
	case routeWrite:
		v.visits++
		method, want = http.MethodPost, v.visits
	}
	got, err := v.ask(ctx, method, server+"/"+route)
	if err == nil && got != want {
		err = fmt.Errorf("answer of %s: %d visits, want %d", route, got, want)
	}
	return err
}

// A refusal is an answer other than 200.
type refusal struct{ text string }

func (r refusal) Error() string { return r.text }

// ask sends one request and returns the count in its answer.
func (v *visitor) ask(ctx context.Context, method, url string) (int64, error) {
	response, err := v.do(ctx, method, url)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, refusal{fmt.Sprintf("%s %s: %s: %s", method, url, response.Status, text)}
	}
	var answer struct{ Visits int64 }
	if err := json.Unmarshal(text, &answer); err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, url, err)
	}
	return answer.Visits, nil
}

func (v *visitor) do(ctx context.Context, method, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", userAgent)
	if v.cookie != "" {
		request.Header.Set("Cookie", v.cookie)
	}
	return v.client.Do(request)
}
