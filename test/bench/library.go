package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A library is one way to keep a visitor's session. Its methods serve the routes of newHandler.
type library interface {
	// Wrap returns the handler with the library's middleware around it, if it has one.
	Wrap(next http.Handler) http.Handler
	// Start gives the visitor a new session that holds the seed.
	Start(w http.ResponseWriter, r *http.Request) error
	// Visits returns the session's visit count; 0 for a visitor without a session.
	Visits(r *http.Request) (int64, error)
	// Add adds one visit and returns the new count. It is called before the response's first byte.
	Add(w http.ResponseWriter, r *http.Request) (int64, error)
	// Logout ends the session.
	Logout(w http.ResponseWriter, r *http.Request) error
	Close()
}

// The seed: what every session holds from its start, beside a visit count of 0.
var seed = []struct{ key, value string }{{"name", "Ada Lovelace"}, {"locale", "en-GB"}, {"theme", "dark"}}

// The session's lifetime and idle timeout, for the libraries that have them.
const (
	lifetime    = 24 * time.Hour
	idleTimeout = 30 * time.Minute
)

// poolSize is how many store connections a library may keep that pools them: more than the load has visitors, so that
// no request waits for one, or opens its own.
const poolSize = 64

const cookieName = "session"

// The routes that are measured, and what each answers: {"visits":n}.
const (
	routeUntouched = "untouched" // doesn't use the session
	routeRead      = "read"      // answers the visit count
	routeWrite     = "write"     // adds one visit, answers the new count
)

// A variant is one library as it is set up for the comparison.
type variant struct {
	Name   string
	Title  string
	Store  string   // storeNone, storeValkey or storeDynamoDB
	Routes []string // that are measured
	Bare   string   // the variant whose store calls it adds to; empty: none
	// KeepAlive: the store's client sends a PING on a connection that was silent for a second, for no request.
	KeepAlive bool
	// Lab: it is compared in what happens to overlapping and abandoned requests too.
	Lab bool

	open func(store string) (library, error)
}

// The stores of variants.
const (
	storeNone     = ""
	storeValkey   = "valkey"
	storeDynamoDB = "dynamodb"
)

// The variants that others are compared with, and ours.
const (
	noSession    = "none"
	bareValkey   = "bare-valkey"
	bareDynamoDB = "bare-dynamodb"
	ownValkey    = "own-valkey"
	ownDynamoDB  = "own-dynamodb"
)

func variants() []variant {
	onStore, all := []string{routeRead, routeWrite}, []string{routeUntouched, routeRead, routeWrite}
	return []variant{
		{Name: noSession, Title: "no session", Routes: []string{routeUntouched}, open: openNothing},
		{Name: "bare-middleware", Title: "bare middleware", Routes: []string{routeUntouched}, open: openBareMiddleware},
		{Name: bareValkey, Title: "bare valkey-go", Store: storeValkey, Routes: onStore, KeepAlive: true, open: openBareValkey},
		{Name: ownValkey, Title: "app/session, valkey", Store: storeValkey, Routes: all, Bare: bareValkey, KeepAlive: true,
			Lab: true, open: openOwnValkey},
		{Name: "scs", Title: "scs, goredisstore", Store: storeValkey, Routes: all, Bare: bareValkey, Lab: true,
			open: openSCS(0)},
		{Name: "scs-idle", Title: "scs, goredisstore, IdleTimeout", Store: storeValkey, Routes: all, Bare: bareValkey,
			Lab: true, open: openSCS(idleTimeout)},
		{Name: "gorilla", Title: "gorilla/sessions, boj/redistore", Store: storeValkey, Routes: all, Bare: bareValkey,
			Lab: true, open: openGorilla},
		{Name: bareDynamoDB, Title: "bare aws-sdk-go-v2", Store: storeDynamoDB, Routes: onStore, open: openBareDynamoDB},
		{Name: ownDynamoDB, Title: "app/session, dynamodb", Store: storeDynamoDB, Routes: all, Bare: bareDynamoDB,
			Lab: true, open: openOwnDynamoDB},
	}
}

func variantNamed(name string) (variant, error) {
	list := variants()
	i := slices.IndexFunc(list, func(v variant) bool { return v.Name == name })
	if i < 0 {
		return variant{}, fmt.Errorf("variant %q: allowed are %s", name, variantNames())
	}
	return list[i], nil
}

func variantNames() []string {
	var names []string
	for _, v := range variants() {
		names = append(names, v.Name)
	}
	return names
}

// newHandler serves the routes with the library. Slow requests that are to be held wait at the gate.
func newHandler(l library, g *gate) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /untouched", func(w http.ResponseWriter, r *http.Request) { answer(w, 0, nil) })
	mux.HandleFunc("GET /read", func(w http.ResponseWriter, r *http.Request) {
		n, err := l.Visits(r)
		answer(w, n, err)
	})
	mux.HandleFunc("POST /write", func(w http.ResponseWriter, r *http.Request) {
		n, err := l.Add(w, r)
		answer(w, n, err)
	})
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) { answer(w, 0, l.Start(w, r)) })
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) { answer(w, 0, l.Logout(w, r)) })
	// The slow routes read the session, wait, and then read it again or add a visit.
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		_, err := l.Visits(r)
		wait(r, g)
		n, again := l.Visits(r)
		if err == nil {
			err = again
		}
		answer(w, n, err)
	})
	mux.HandleFunc("POST /slow", func(w http.ResponseWriter, r *http.Request) {
		_, err := l.Visits(r)
		if err != nil {
			answer(w, 0, err)
			return
		}
		wait(r, g)
		n, err := l.Add(w, r)
		answer(w, n, err)
	})
	return l.Wrap(mux)
}

// wait sleeps for as long as the query's "wait" says, or until the gate is opened where it says "held", whether the
// client waits or not.
func wait(r *http.Request, g *gate) {
	d, err := time.ParseDuration(r.URL.Query().Get("wait"))
	if err != nil {
		g.hold(r.Context())
		return
	}
	time.Sleep(d)
}

func answer(w http.ResponseWriter, visits int64, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	body := append(make([]byte, 0, 32), `{"visits":`...)
	body = strconv.AppendInt(body, visits, 10)
	w.Write(append(body, '}'))
}

// nothing keeps no session.
type nothing struct{}

var _ library = nothing{}

func openNothing(string) (library, error) { return nothing{}, nil }

func (nothing) Wrap(next http.Handler) http.Handler                   { return next }
func (nothing) Start(w http.ResponseWriter, _ *http.Request) error    { return setCookie(w, newSecret()) }
func (nothing) Visits(*http.Request) (int64, error)                   { return 0, nil }
func (nothing) Add(http.ResponseWriter, *http.Request) (int64, error) { return 0, nil }
func (nothing) Logout(http.ResponseWriter, *http.Request) error       { return nil }
func (nothing) Close()                                                {}
