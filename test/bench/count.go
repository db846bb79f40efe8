package main

import (
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
)

// Calls counts store calls by name: Valkey commands or DynamoDB operations.
type Calls map[string]int

// String lists the calls, sorted by name.
func (c Calls) String() string {
	if len(c) == 0 {
		return "0"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%d %s", c[name], name))
	}
	return strings.Join(parts, " + ")
}

// A count is the store traffic of one request.
type count struct {
	calls Calls
	bytes int // on the connections to the store, in both directions
}

// countCalls counts the store traffic of each of the variant's routes, for a client with a session. The server runs in this
// process and reaches its store through a counting proxy.
func countCalls(ctx context.Context, v variant, s stores) (map[string]count, error) {
	store, take := "", func() (Calls, int) { return Calls{}, 0 }
	if v.Store != storeNone {
		endpoint, read := "http://"+s[v.Store], readCommand
		if v.Store == storeDynamoDB {
			endpoint, read = s[v.Store], readOperation
		}
		u, err := url.Parse(endpoint)
		if err != nil {
			return nil, err
		}
		proxy, err := startCountingProxy(u.Host, read)
		if err != nil {
			return nil, err
		}
		defer proxy.Close()
		store, take = strings.Replace(s[v.Store], u.Host, proxy.Addr, 1), proxy.take
	}
	l, err := v.open(store)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	server := httptest.NewServer(newHandler(l))
	defer server.Close()
	c, err := newClient(ctx, server.Client(), server.URL)
	if err != nil {
		return nil, err
	}

	const requests = 20
	counts := map[string]count{}
	for _, route := range v.Routes {
		// The first request is not counted, because it may load a script into the store.
		if err := c.send(ctx, server.URL, route); err != nil {
			return nil, err
		}
		take()
		for range requests {
			if err := c.send(ctx, server.URL, route); err != nil {
				return nil, err
			}
		}
		calls, bytes := take()
		// A pool may open another connection at any time. These commands are not part of a request.
		delete(calls, "HELLO")
		delete(calls, "CLIENT")
		if v.KeepAlive {
			delete(calls, "PING")
		}
		for name, n := range calls {
			if n%requests != 0 {
				return nil, fmt.Errorf("count the store calls of %s, %s: %d %s in %d requests", v.Name, route, n, name, requests)
			}
			calls[name] = n / requests
		}
		counts[route] = count{calls, bytes / requests}
	}
	return counts, nil
}
