package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A library is one way to keep a visitor's session. Its methods serve the routes of newHandler.
type library interface {
	// Wrap returns the handler with the library's middleware around it, if it has one.
	Wrap(next http.Handler) http.Handler
	// Start gives the visitor a new session with the seed.
	Start(w http.ResponseWriter, r *http.Request) error
	// Visits returns the session's visit count; 0 for a visitor without a session.
	Visits(r *http.Request) (int64, error)
	// Add adds one visit and returns the new count. It is called before the response's first byte.
	Add(w http.ResponseWriter, r *http.Request) (int64, error)
	// Logout ends the session.
	Logout(w http.ResponseWriter, r *http.Request) error
	Close()
}

// seed has the keys that every session starts with, beside a visit count of 0.
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
	Store  string             // storeNone, storeValkey or storeDynamoDB
	Routes []string           // that are measured
	Bare   string             // the variant whose store calls it adds to; empty: none
	Most   map[string]float64 // by route: the CPU time that is aimed at, in times the bare calls', or else no session's
	// KeepAlive: the store's client sends a PING on a connection that was silent for a second, for no request.
	KeepAlive bool
	// Lab: it is compared in what happens to overlapping and abandoned requests too.
	Lab bool

	open func(store string) (library, error)
}

// stores are the endpoints of the stores that run, by name.
type stores map[string]string

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
		{Name: ownValkey, Title: "session, valkey", Store: storeValkey, Routes: all, Bare: bareValkey, KeepAlive: true,
			Most: map[string]float64{routeUntouched: 1.05, routeRead: 1.25, routeWrite: 1.25}, Lab: true, open: openOwnValkey},
		{Name: "scs", Title: "scs, goredisstore", Store: storeValkey, Routes: all, Bare: bareValkey, Lab: true,
			open: openSCS(0)},
		{Name: "scs-idle", Title: "scs, goredisstore, IdleTimeout", Store: storeValkey, Routes: all, Bare: bareValkey,
			Lab: true, open: openSCS(idleTimeout)},
		{Name: "gorilla", Title: "gorilla/sessions, boj/redistore", Store: storeValkey, Routes: all, Bare: bareValkey,
			Lab: true, open: openGorilla},
		{Name: bareDynamoDB, Title: "bare aws-sdk-go-v2", Store: storeDynamoDB, Routes: onStore, open: openBareDynamoDB},
		{Name: ownDynamoDB, Title: "session, dynamodb", Store: storeDynamoDB, Routes: all, Bare: bareDynamoDB,
			Most: map[string]float64{routeUntouched: 1.05, routeRead: 1.15, routeWrite: 1.15}, Lab: true, open: openOwnDynamoDB},
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

// newHandler serves the routes with the library. Slow requests read the session, wait in hold, and then read it again or
// add a visit.
func newHandler(l library, hold func(*http.Request)) http.Handler {
	mux := http.NewServeMux()
	read := func(_ http.ResponseWriter, r *http.Request) (int64, error) { return l.Visits(r) }
	slow := func(then func(http.ResponseWriter, *http.Request) (int64, error)) func(http.ResponseWriter, *http.Request) (int64, error) {
		return func(w http.ResponseWriter, r *http.Request) (int64, error) {
			if _, err := l.Visits(r); err != nil {
				return 0, err
			}
			hold(r)
			return then(w, r)
		}
	}
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) (int64, error){
		"GET /untouched": func(http.ResponseWriter, *http.Request) (int64, error) { return 0, nil },
		"GET /read":      read,
		"POST /write":    l.Add,
		"GET /slow":      slow(read),
		"POST /slow":     slow(l.Add),
		"POST /start":    func(w http.ResponseWriter, r *http.Request) (int64, error) { return 0, l.Start(w, r) },
		"POST /logout":   func(w http.ResponseWriter, r *http.Request) (int64, error) { return 0, l.Logout(w, r) },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			n, err := serve(w, r)
			answer(w, n, err)
		})
	}
	return l.Wrap(mux)
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

// nothing keeps no session. Libraries embed it for the methods that they need nothing of.
type nothing struct{}

var _ library = nothing{}

func openNothing(string) (library, error) { return nothing{}, nil }

func (nothing) Wrap(next http.Handler) http.Handler                   { return next }
func (nothing) Start(w http.ResponseWriter, _ *http.Request) error    { return setCookie(w, newSecret()) }
func (nothing) Visits(*http.Request) (int64, error)                   { return 0, nil }
func (nothing) Add(http.ResponseWriter, *http.Request) (int64, error) { return 0, nil }
func (nothing) Logout(http.ResponseWriter, *http.Request) error       { return nil }
func (nothing) Close()                                                {}
