// Package contract has the part of the lab's contract that any server in any language can follow: how the lab starts it.
// A server listens on 127.0.0.1:$PORT and keeps its sessions in the store at $STORE_URL. What it serves there is in
// docs/explore.md. Command is how the lab starts such a server.
package contract

import (
	"maps"
	"net"
	"net/url"
	"os"
	"slices"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/process"
)

// StoreURL returns the value of STORE_URL for servers with the store of a configuration: redis://host:port,
// memcached://host:port, postgres://user@host:port/database, or the endpoint of DynamoDB. It is empty for stores that are
// not on a server.
func StoreURL(c config.Config) string {
	switch c.Store {
	case config.StoreValkey:
		return "redis://" + c.ValkeyAddress
	case config.StoreMemcached:
		return "memcached://" + c.MemcachedAddresses[0]
	case config.StorePostgres:
		return c.PostgresURL
	case config.StoreDynamoDB:
		return c.DynamoDBEndpoint
	default:
		return ""
	}
}

// A Server is the command line of a server, for a shell.
type Server struct {
	Command string
	Folder  string            // where it runs; empty for the working directory
	Env     map[string]string // more variables, in which ${STORE_PORT} and the others of Process are replaced
}

// Process returns the command that starts the server on a port of the loopback address. The server inherits the environment of
// this program, and gets PORT, STORE_URL, and the parts STORE_HOST and STORE_PORT of STORE_URL. Servers with DynamoDB Local get AWS_REGION
// and credentials that it takes.
func (s Server) Process(name, port, storeURL string) process.Command {
	given := map[string]string{"PORT": port, "STORE_URL": storeURL}
	if u, err := url.Parse(storeURL); err == nil {
		given["STORE_HOST"], given["STORE_PORT"], _ = net.SplitHostPort(u.Host)
		if u.Scheme == "http" {
			given["AWS_REGION"], given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"] = "us-east-1", "local", "local"
		}
	}
	env := os.Environ()
	for _, variable := range slices.Sorted(maps.Keys(given)) {
		env = append(env, variable+"="+given[variable])
	}
	for _, variable := range slices.Sorted(maps.Keys(s.Env)) {
		env = append(env, variable+"="+os.Expand(s.Env[variable], func(other string) string {
			if value, ok := given[other]; ok {
				return value
			}
			return os.Getenv(other)
		}))
	}
	return process.Command{Name: name, Path: "sh", Args: []string{"-c", "exec " + s.Command}, Dir: s.Folder, Env: env}
}
