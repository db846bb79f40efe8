package explore

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/contract"
	"stateless-servers/session/sessiontest/process"
)

// observerTimeout limits the store operations of observers. They always end, but on a busy machine not within the default of the
// sample application.
const observerTimeout = 5 * time.Second

// Sample returns the sample application as a target: its program, and the configuration of servers on a store that runs.
// The error says that the store keeps no session that servers share.
func Sample(program string, c config.Config) (Target, error) {
	t := Target{Application: Contract(), Store: c.Store}
	t.Name = "sample application"
	store, err := url.Parse(contract.StoreURL(c))
	if err != nil {
		return t, fmt.Errorf("the URL of the store: %w", err)
	}
	if t.StoreAddr = store.Host; store.Host == "" {
		return t, fmt.Errorf("servers with the store %s share no store that they could call, so there is nothing to explore", c.Store)
	}
	t.Start = func(name, storeAddr string) (string, *process.Process, error) {
		c := c
		if strings.HasPrefix(name, observer) {
			c.StoreTimeout = observerTimeout
		}
		store := *store
		store.Host = storeAddr
		switch c.Store {
		case config.StoreValkey:
			c.ValkeyAddress = storeAddr
		case config.StoreMemcached:
			c.MemcachedAddresses = []string{storeAddr}
		case config.StoreDynamoDB:
			c.DynamoDBEndpoint = store.String()
		case config.StorePostgres:
			c.PostgresURL = store.String()
		}
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
