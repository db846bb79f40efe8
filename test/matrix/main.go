// Command matrix writes the tables of stores in the pages. docs/sessions.md gets the promises that each store declares. README.md
// gets a decision tree, and the most important promises beside the costs in docs/compare.md. Start reading at replace.
package main

//go:generate go run .

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/memcached"
	"stateless-servers/session/memory"
	"stateless-servers/session/postgres"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sealing"
	"stateless-servers/session/token"
	"stateless-servers/session/valkey"
)

const (
	root  = "../.."
	begin = "<!-- begin: go generate ./test/matrix -->\n"
	end   = "<!-- end -->\n"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run replaces the generated part of each page.
func run() error {
	pages, err := generate()
	if err != nil {
		return err
	}
	for page, part := range pages {
		file := filepath.Join(root, page)
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		next, err := replace(old, part)
		if err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
		if err := os.WriteFile(file, next, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the generated part of each page, by the page's path in the repository.
func generate() (map[string]string, error) {
	declared, err := promises()
	if err != nil {
		return nil, err
	}
	costs, err := os.ReadFile(filepath.Join(root, "docs", "compare.md"))
	if err != nil {
		return nil, err
	}
	which, err := choice(declared, string(costs))
	if err != nil {
		return nil, fmt.Errorf("docs/compare.md: %w", err)
	}
	return map[string]string{"README.md": which, "docs/sessions.md": table(declared)}, nil
}

// replace returns the page with another generated part.
func replace(page []byte, part string) ([]byte, error) {
	before, rest, found := bytes.Cut(page, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		return nil, fmt.Errorf("there is no line %q, or no line %q after it", begin, end)
	}
	return bytes.Join([][]byte{before, []byte(begin + part + end), after}, nil), nil
}

// A row has the promises that a store declares, and what a deployment of it on AWS promises.
type row struct {
	session.Promises
	// failover says what a failover of the store keeps of the changes that it has acknowledged. It is from AWS's documentation.
	failover string
}

// promises returns the promises of every store, without connecting to it.
func promises() ([]row, error) {
	database, err := postgres.New(postgres.Options{URL: "postgres://localhost"})
	if err != nil {
		return nil, err
	}
	defer database.Close()
	cache, err := memcached.New(memcached.Options{Addresses: []string{"localhost:11211"}})
	if err != nil {
		return nil, err
	}
	defer cache.Close()
	secret := make([]byte, 32)
	rand.Read(secret)
	keys, err := sealing.ParseKeys(base64.StdEncoding.EncodeToString(secret))
	if err != nil {
		return nil, err
	}
	sealed, err := cookie.New(keys, "session")
	if err != nil {
		return nil, err
	}
	signed, err := token.New(keys, token.Options{Issuer: "matrix", Audience: "matrix"})
	if err != nil {
		return nil, err
	}
	follower, err := revocation.New(memory.NewRevocations(), revocation.Options{})
	if err != nil {
		return nil, err
	}
	revoked := follower.Codec(signed).Promises()
	revoked.Name += " with revocation"
	eventual := dynamodb.New(nil, dynamodb.Options{EventualReads: true}).Promises()
	eventual.Name += ", eventual reads or DAX"
	replicated := dynamodb.New(nil, dynamodb.Options{Replicated: true}).Promises()
	replicated.Name += ", replicas in other regions"
	plain := valkey.New(valkey.Options{}).Promises()
	async, sync := plain, plain
	async.Name += ", `durability=async`"
	sync.Name += ", `durability=sync`"
	return []row{
		{dynamodb.New(nil, dynamodb.Options{}).Promises(), "yes"}, {eventual, "yes"}, {replicated, "yes"},
		{plain, "**not the last moments**"}, {async, "**not the last 10 s**"}, {sync, "yes"},
		{database.Promises(), "yes"}, {cache.Promises(), "**no**"}, {sealed.Promises(), "yes"}, {signed.Promises(), "yes"}, {revoked, "yes"},
		{memory.New().Promises(), "**no**"},
	}, nil
}

// table returns the table of promises.
func table(list []row) string {
	var text strings.Builder
	text.WriteString("| store | shared by all servers | no lost update | logout is final | read your writes | login is one step | sessions by user | changes after login | survives a failover | largest session |\n")
	text.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range list {
		fmt.Fprintf(&text, "| %s |", p.Name)
		final, ended := "", ""
		if p.LogoutFinalWithin > 0 {
			final, ended = fmt.Sprintf("within %g s", p.LogoutFinalWithin.Seconds()), "end only"
		}
		for _, promise := range []struct {
			kept, oneRegion bool
			partly          string // to what extent it is kept otherwise
		}{
			{p.Shared, false, ""}, {p.NoLostUpdate, p.OneRegion, ""}, {p.LogoutIsFinal, p.OneRegion, final},
			{p.ReadYourWrites, p.OneRegion, ""}, {p.AtomicRenewal, p.OneRegion, ""}, {p.ListsByUser, false, ended}, {p.Mutable, false, ""},
		} {
			switch {
			case !promise.kept && promise.partly != "":
				text.WriteString(" **" + promise.partly + "** |")
			case promise.kept && promise.oneRegion:
				text.WriteString(" **in one region** |")
			default:
				text.WriteString(" " + yes(promise.kept) + " |")
			}
		}
		fmt.Fprintf(&text, " %s | %s |\n", p.failover, size(p.MaxBytes))
	}
	return text.String()
}

func yes(kept bool) string {
	if kept {
		return "yes"
	}
	return "**no**"
}

func size(bytes int) string {
	if bytes < 10_000 {
		return fmt.Sprintf("%.1f KB", float64(bytes)/1000)
	}
	return fmt.Sprintf("%d KB", bytes/1000)
}
