package main

import (
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
)

// Calls are the store calls of one request, by name: commands of Valkey, operations of DynamoDB.
type Calls map[string]int

// String lists them by name.
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

// total is how many they are.
func (c Calls) total() int {
	sum := 0
	for _, n := range c {
		sum += n
	}
	return sum
}

// countCalls counts the store calls of each of the variant's routes, of a visitor who has a session. The server runs in
// this process, and what it says to its store goes through a counter.
func countCalls(ctx context.Context, v variant, valkeyAddr string) (map[string]Calls, error) {
	store, take, stop, err := countedStore(v.Store, valkeyAddr)
	if err != nil {
		return nil, err
	}
	defer stop()
	l, err := v.open(store)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	server := httptest.NewServer(newHandler(l, newGate()))
	defer server.Close()
	visitor, err := newVisitor(ctx, server.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	defer visitor.Close()

	const requests = 20
	counts := map[string]Calls{}
	for _, route := range v.Routes {
		// Once before, for what is sent once: scripts.
		if err := visitor.send(route, 1); err != nil {
			return nil, err
		}
		take()
		if err := visitor.send(route, requests); err != nil {
			return nil, err
		}
		counted := take()
		// A pool may open another connection at any time; that is no part of a request.
		delete(counted, "HELLO")
		delete(counted, "CLIENT")
		if v.KeepAlive {
			delete(counted, "PING")
		}
		calls := Calls{}
		for name, n := range counted {
			if n%requests != 0 {
				return nil, fmt.Errorf("count the store calls of %s, %s: %d %s in %d requests", v.Name, route, n, name, requests)
			}
			calls[name] = n / requests
		}
		counts[route] = calls
	}
	return counts, nil
}

// countedStore returns where a counted store of the kind answers, and what takes its count.
func countedStore(kind, valkeyAddr string) (store string, take func() map[string]int, stop func(), err error) {
	switch kind {
	case storeValkey:
		proxy, err := startCountingProxy(valkeyAddr)
		if err != nil {
			return "", nil, nil, err
		}
		return proxy.addr, proxy.take, proxy.Close, nil
	case storeDynamoDB:
		stub, err := startDynamoDBStub()
		if err != nil {
			return "", nil, nil, err
		}
		return stub.endpoint, stub.take, stub.Close, nil
	default:
		return "", func() map[string]int { return nil }, func() {}, nil
	}
}
