package explore

import (
	"fmt"
	"net"
	"net/url"
	"strconv"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/process"
)

// Sample returns the sample application as a target: its program, and the configuration of servers on a store that runs.
// The error says that the store keeps no session that servers share.
func Sample(program string, c config.Config) (Target, error) {
	t := Target{Application: Contract(), Store: c.Store}
	t.Name = "sample application"
	var move func(c *config.Config, addr string)
	switch c.Store {
	case config.StoreValkey:
		t.StoreAddr = c.ValkeyAddress
		move = func(c *config.Config, addr string) { c.ValkeyAddress = addr }
	case config.StoreMemcached:
		t.StoreAddr = c.MemcachedAddresses[0]
		move = func(c *config.Config, addr string) { c.MemcachedAddresses = []string{addr} }
	case config.StoreDynamoDB:
		endpoint, err := url.Parse(c.DynamoDBEndpoint)
		if err != nil {
			return t, fmt.Errorf("the endpoint of DynamoDB: %w", err)
		}
		t.StoreAddr = endpoint.Host
		move = func(c *config.Config, addr string) { c.DynamoDBEndpoint = "http://" + addr }
	case config.StorePostgres:
		server, err := url.Parse(c.PostgresURL)
		if err != nil {
			return t, fmt.Errorf("the URL of PostgreSQL: %w", err)
		}
		t.StoreAddr = server.Host
		move = func(c *config.Config, addr string) {
			moved := *server
			moved.Host = addr
			c.PostgresURL = moved.String()
		}
	default:
		return t, fmt.Errorf("servers with the store %s make no calls of a store that they share, so there is nothing to explore", c.Store)
	}
	t.Start = func(name, storeAddr string) (string, *process.Process, error) {
		c := c
		move(&c, storeAddr)
		address, err := freeAddress()
		if err != nil {
			return "", nil, err
		}
		admin, err := freeAddress()
		if err != nil {
			return "", nil, err
		}
		c.ServerName, c.Zone, c.Addr, c.AdminAddr = "server", "a", address, admin
		p, err := process.Start(process.Command{Name: name, Path: program, Env: c.Environment()})
		return "http://" + address, p, err
	}
	return t, nil
}

func freeAddress() (string, error) {
	port, err := process.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}
