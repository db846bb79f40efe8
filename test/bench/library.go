package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A library is a session library that is compared. Its methods serve the routes of newHandler.
type library interface {
	// Wrap returns the handler with the library's middleware around it, if it has one.
	Wrap(next http.Handler) http.Handler
	// Start starts a session with the seed and sets its cookie.
	Start(w http.ResponseWriter, r *http.Request) error
	// Visits returns the session's visit count, or 0 if the request has no session.
	Visits(r *http.Request) (int64, error)
	// Add adds one visit and returns the new count. It is called before the response's first byte.
	Add(w http.ResponseWriter, r *http.Request) (int64, error)
	// Logout ends the session.
	Logout(w http.ResponseWriter, r *http.Request) error
	Close()
}

// seed is the content of every new session, in addition to a visit count of 0.
var seed = []struct{ key, value string }{{"name", "Ada Lovelace"}, {"locale", "en-GB"}, {"theme", "dark"}}

// The lifetime and idle timeout of sessions, for the libraries that support them.
const (
	lifetime    = 24 * time.Hour
	idleTimeout = 30 * time.Minute
)

// poolSize is the maximum number of connections of a library with a connection pool. It is at least mostClients, so that no
// request waits for a connection or opens one.
const poolSize = mostClients

const cookieName = "session"

// The routes that are measured. Each responds with {"visits":n}.
const (
	routeUntouched = "untouched" // doesn't use the session
	routeRead      = "read"      // returns the visit count
	routeWrite     = "write"     // adds one visit and returns the new count
)

// A variant is a library with one configuration.
type variant struct {
	Name   string
	Title  string
	Store  string   // storeNone, storeValkey or storeDynamoDB
	Routes []string // the measured routes
	Bare   string   // the baseline on the same store, or "" if the variant is a baseline itself
	// MaxCPU is the goal for CPU time, relative to Bare or, untouched, to noSession.
	MaxCPU map[load]float64 `json:"-"`
	// ReadClients are the numbers of concurrent clients with which the read is measured; default only concurrency.
	ReadClients []int
	// KeepAlive reports whether the store's client sends a PING, which belongs to no request, on a connection idle for a second.
	KeepAlive bool

	open func(store string) (library, error)
}

// A load is a route with a number of concurrent clients.
type load struct {
	Route   string
	Clients int
}

// loads returns the loads that are measured.
func (v variant) loads() (list []load) {
	for _, route := range v.Routes {
		clients := []int{concurrency}
		if route == routeRead && len(v.ReadClients) > 0 {
			clients = v.ReadClients
		}
		for _, n := range clients {
			list = append(list, load{route, n})
		}
	}
	return list
}

// stores maps the name of each running store to its endpoint.
type stores map[string]string

// The stores of variants.
const (
	storeNone     = ""
	storeValkey   = "valkey"
	storeDynamoDB = "dynamodb"
)

// The baselines, and the variants of this repository's library.
const (
	noSession    = "none"
	bareValkey   = "bare-valkey"
	bareDynamoDB = "bare-dynamodb"
	ownValkey    = "own-valkey"
	ownDynamoDB  = "own-dynamodb"
)

func variants() []variant {
	const n = concurrency
	onStore, all := []string{routeRead, routeWrite}, []string{routeUntouched, routeRead, routeWrite}
	return []variant{
		{Name: noSession, Title: "no session", Routes: []string{routeUntouched}, open: openNoLibrary},
		{Name: "bare-middleware", Title: "bare middleware", Routes: []string{routeUntouched}, open: openBareMiddleware},
		{Name: bareValkey, Title: "bare valkey-go", Store: storeValkey, Routes: onStore, KeepAlive: true, open: openBareValkey},
		{Name: ownValkey, Title: "session, valkey", Store: storeValkey, Routes: all, Bare: bareValkey, KeepAlive: true,
			MaxCPU: map[load]float64{{routeUntouched, n}: 1.05, {routeRead, n}: 1.25, {routeWrite, n}: 1.25}, open: openOwnValkey},
		{Name: "scs", Title: "scs, goredisstore", Store: storeValkey, Routes: all, Bare: bareValkey,
			open: openSCS(0)},
		{Name: "scs-idle", Title: "scs, goredisstore, IdleTimeout", Store: storeValkey, Routes: all, Bare: bareValkey,
			open: openSCS(idleTimeout)},
		{Name: "gorilla", Title: "gorilla/sessions, boj/redistore", Store: storeValkey, Routes: all, Bare: bareValkey,
			open: openGorilla},
		{Name: bareDynamoDB, Title: "bare aws-sdk-go-v2", Store: storeDynamoDB, Routes: onStore, ReadClients: []int{1, n, mostClients},
			open: openBareDynamoDB},
		{Name: ownDynamoDB, Title: "session, dynamodb", Store: storeDynamoDB, Routes: all, Bare: bareDynamoDB,
			ReadClients: []int{1, n, mostClients}, MaxCPU: map[load]float64{
				{routeUntouched, n}: 1.05, {routeRead, 1}: 1.10, {routeRead, n}: 0.60, {routeRead, mostClients}: 0.50, {routeWrite, n}: 1.15,
			}, open: openOwnDynamoDB},
	}
}

func variantNamed(name string) (variant, error) {
	var names []string
	for _, v := range variants() {
		if v.Name == name {
			return v, nil
		}
		names = append(names, v.Name)
	}
	return variant{}, fmt.Errorf("variant %q: allowed are %s", name, strings.Join(names, ","))
}

// newHandler returns a handler that serves the routes with the library.
func newHandler(l library) http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) (int64, error){
		"GET /untouched": func(http.ResponseWriter, *http.Request) (int64, error) { return 0, nil },
		"GET /read":      func(_ http.ResponseWriter, r *http.Request) (int64, error) { return l.Visits(r) },
		"POST /write":    l.Add,
		"POST /start":    func(w http.ResponseWriter, r *http.Request) (int64, error) { return 0, l.Start(w, r) },
		"POST /logout":   func(w http.ResponseWriter, r *http.Request) (int64, error) { return 0, l.Logout(w, r) },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			n, err := serve(w, r)
			writeResponse(w, n, err)
		})
	}
	return l.Wrap(mux)
}

func writeResponse(w http.ResponseWriter, visits int64, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	body := append(make([]byte, 0, 32), `{"visits":`...)
	body = strconv.AppendInt(body, visits, 10)
	w.Write(append(body, '}'))
}

// noLibrary keeps no session. Baselines embed it for the methods that they don't need.
type noLibrary struct{}

var _ library = noLibrary{}

func openNoLibrary(string) (library, error) { return noLibrary{}, nil }

func (noLibrary) Wrap(next http.Handler) http.Handler { return next }
func (noLibrary) Start(w http.ResponseWriter, _ *http.Request) error {
	return setCookie(w, newSecret())
}
func (noLibrary) Visits(*http.Request) (int64, error)                   { return 0, nil }
func (noLibrary) Add(http.ResponseWriter, *http.Request) (int64, error) { return 0, nil }
func (noLibrary) Logout(http.ResponseWriter, *http.Request) error       { return nil }
func (noLibrary) Close()                                                {}
