package stacks

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"

	"stateless-servers/app/config"
	"stateless-servers/app/config/allowed"
)

// migratableStores returns the stores that package session/migrate can move sessions between.
func migratableStores() []config.StoreKind {
	return []config.StoreKind{config.StoreDynamoDB, config.StoreValkey, StoreRedis, config.StoreMemcached, config.StorePostgres}
}

// otherStore returns the second store of a migration, or "".
func (c *Config) otherStore() config.StoreKind {
	if c.MigrateTo != "" {
		return c.MigrateTo
	}
	return c.MigrateFrom
}

// appliesHere reports whether the setting at i is for a store of the deployment. If both stores of a migration have a key with a
// meaning of its own, it is for the store whose setting comes last. The only such key is replicas, and there it is the cache:
// migrationConflicts refuses a table with replicas in other regions.
func (c *Config) appliesHere(i int, settings []setting) bool {
	here := func(s setting) bool {
		return s.appliesTo(c.Store) || c.otherStore() != "" && s.appliesTo(c.otherStore())
	}
	return here(settings[i]) && !slices.ContainsFunc(settings[i+1:], func(s setting) bool {
		return s.Name == settings[i].Name && here(s)
	})
}

// migrationConflicts returns the conflicts of migrateTo and migrateFrom.
func (c *Config) migrationConflicts() []error {
	key, other := "migrateTo", c.MigrateTo
	switch {
	case c.MigrateTo != "" && c.MigrateFrom != "":
		return []error{fmt.Errorf("context migrateTo=%q and migrateFrom=%q: one at a time; the first deployment of a migration has "+
			"migrateTo, and the second migrateFrom", c.MigrateTo, c.MigrateFrom)}
	case c.MigrateFrom != "":
		key, other = "migrateFrom", c.MigrateFrom
	case c.MigrateTo == "":
		return nil
	}
	reason := c.immovable(other)
	if reason == "" {
		return nil
	}
	return []error{fmt.Errorf("context %s=%q: %s", key, other, reason)}
}

// immovable returns the reason why sessions can't move between the store and the other one, or "".
func (c *Config) immovable(other config.StoreKind) string {
	stores := []config.StoreKind{c.Store, other}
	has := func(kinds ...config.StoreKind) bool {
		return slices.ContainsFunc(kinds, func(s config.StoreKind) bool { return slices.Contains(stores, s) })
	}
	switch {
	case other == c.Store:
		return fmt.Sprintf("allowed is a store other than store=%s", c.Store)
	case has(config.StoreCookie, config.StoreToken):
		return "not with cookie or token; these sessions are in the visitors' browsers, where servers can't move them from or to"
	case has(config.StoreMemory):
		return "not with memory; these sessions end with their server, which a deployment replaces"
	case has(config.StoreValkey) && has(StoreRedis):
		return "not between valkey and redis; servers have a single address for both. Migrate to a third store, and from there"
	case has(config.StoreDynamoDB) && c.DynamoDB.replicated():
		return "not with replicas or replicaTable of dynamodb; servers in other regions would not find the moved sessions"
	}
	return ""
}

// nextDeployment says which deployment of a migration follows this one. Without a migration it returns "".
func (c *Config) nextDeployment(lifetime time.Duration) string {
	switch {
	case c.MigrateTo != "":
		return fmt.Sprintf("Sessions are in %s. Next, move them: the same keys, with -c store=%s -c migrateFrom=%s.",
			c.Store, c.MigrateTo, c.Store)
	case c.MigrateFrom != "":
		return fmt.Sprintf("Sessions move from %s to %s when they are used. Next, %s after this deployment, remove %s: the same keys, "+
			"without migrateFrom.", c.MigrateFrom, c.Store, allowed.Format(lifetime), c.MigrateFrom)
	}
	return ""
}

// newMigratingStore defines both stores of a migration. Each is the same as in a deployment with that store alone, so the steps
// of a migration add one store and remove the other, and don't touch the store that stays. The servers get the addresses of both
// and the permissions on both.
func newMigratingStore(scope constructs.Construct, vpc awsec2.IVpc, subnets *awsec2.SubnetSelection, c Config) Attachment {
	single := c
	single.MigrateTo, single.MigrateFrom = "", ""
	current := NewSessionStore(scope, vpc, subnets, single)
	single.Store = c.otherStore()
	other := NewSessionStore(scope, vpc, subnets, single)
	return func(servers *Servers) {
		current(servers)
		kind, alarms := servers.Environment.Store, len(servers.Alarms)
		other(servers)
		for i := range servers.Alarms[alarms:] { // the alarms of two stores may have the same ids
			servers.Alarms[alarms+i].ID = "Other" + servers.Alarms[alarms+i].ID
		}
		if c.MigrateTo != "" {
			servers.Environment.MigrateTo = servers.Environment.Store
		} else {
			servers.Environment.MigrateFrom = servers.Environment.Store
		}
		servers.Environment.Store = kind
	}
}
