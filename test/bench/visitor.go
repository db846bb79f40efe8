package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A visitor has a session and one connection, and sends one request after another. It speaks just the HTTP that the
// measured routes need, so that the load takes little of the core that it shares with the store.
type visitor struct {
	conn   net.Conn
	reader *bufio.Reader
	cookie string
	visits int64 // as many as writes were answered
}

// newVisitor starts a session on the server at addr.
func newVisitor(ctx context.Context, addr string) (*visitor, error) {
	cookie, err := startSession(ctx, addr)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return &visitor{conn: conn, reader: bufio.NewReader(conn), cookie: cookie}, nil
}

func (v *visitor) Close() { v.conn.Close() }

// startSession returns the cookie of a new session, as a request sends it.
func startSession(ctx context.Context, addr string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/start", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("User-Agent", userAgent)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("start a session: %w", err)
	}
	defer response.Body.Close()
	cookies := response.Cookies()
	if response.StatusCode != http.StatusOK || len(cookies) != 1 {
		return "", fmt.Errorf("start a session: %s, %d cookies", response.Status, len(cookies))
	}
	return cookies[0].Name + "=" + cookies[0].Value, nil
}

const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// send sends the route's request n times, and checks every answer: a session that has seen n writes counts n visits.
func (v *visitor) send(route string, n int) error {
	method := http.MethodGet
	length := ""
	if route == routeWrite {
		method, length = http.MethodPost, "Content-Length: 0\r\n"
	}
	request := fmt.Appendf(nil, "%s /%s HTTP/1.1\r\nHost: bench\r\nUser-Agent: %s\r\nAccept: */*\r\nCookie: %s\r\n%s\r\n",
		method, route, userAgent, v.cookie, length)
	for range n {
		if _, err := v.conn.Write(request); err != nil {
			return fmt.Errorf("send to %s: %w", route, err)
		}
		visits, err := v.receive()
		if err != nil {
			return fmt.Errorf("answer of %s: %w", route, err)
		}
		want := v.visits
		switch route {
		case routeUntouched:
			want = 0
		case routeWrite:
			v.visits++
			want = v.visits
		}
		if visits != want {
			return fmt.Errorf("answer of %s: %d visits, want %d", route, visits, want)
		}
	}
	return nil
}

// receive reads a response and returns the count in it.
func (v *visitor) receive() (int64, error) {
	status, err := v.reader.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	length := -1
	for {
		line, err := v.reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) == len("\r\n") {
			break
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 || length > v.reader.Size() {
		return 0, errors.New("no Content-Length, or too much of it")
	}
	body, err := v.reader.Peek(length)
	if err != nil {
		return 0, err
	}
	defer v.reader.Discard(length)
	number, found := bytes.CutPrefix(body, []byte(`{"visits":`))
	if !ok || !found {
		return 0, fmt.Errorf("%q", body)
	}
	return strconv.ParseInt(string(bytes.TrimSuffix(number, []byte("}"))), 10, 64)
}

// crowd are visitors of one server.
type crowd []*visitor

func newCrowd(ctx context.Context, addr string, size int) (crowd, error) {
	var c crowd
	for range size {
		v, err := newVisitor(ctx, addr)
		if err != nil {
			c.Close()
			return nil, err
		}
		c = append(c, v)
	}
	return c, nil
}

func (c crowd) Close() {
	for _, v := range c {
		v.Close()
	}
}

// send has every visitor send the route's request so many times, and returns how long that took.
func (c crowd) send(route string, each int) (time.Duration, error) {
	var running sync.WaitGroup
	errs := make([]error, len(c))
	start := time.Now()
	for i, v := range c {
		running.Go(func() { errs[i] = v.send(route, each) })
	}
	running.Wait()
	return time.Since(start), errors.Join(errs...)
}
