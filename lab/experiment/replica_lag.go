package experiment

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/app/config"
	"stateless-servers/lab/load"
	"stateless-servers/session/dynamodb"
)

// replicaLag reads sessions from a replica that lags behind, and from the primary.
type replicaLag struct {
	eventual, strong bool // what the first run, and the second, set DYNAMODB_EVENTUAL_READS to
	lag              time.Duration
}

func newReplicaLag() replicaLag {
	return replicaLag{eventual: true, strong: false, lag: 500 * time.Millisecond}
}

func (replicaLag) Name() string { return "replica-lag" }

func (replicaLag) Claim() string {
	return "Reading from a lagging replica can show stale sessions. Strongly consistent reads never do."
}

// readingVisitors returns a load that is low enough for DynamoDB Local and its copy, in which each visitor reads again before
// the copy has the last write.
func readingVisitors() load.Options {
	v := visitors()
	v.Rate, v.Sessions = load.Rate{{From: 25, To: 25}}, 5
	return v
}

// refreshes is the number of visitors who change their session and read it at once.
const refreshes = 50

func (e replicaLag) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Use strongly consistent reads for sessions (DynamoDB: twice the price of a read), or " +
		"read from the primary. With cheaper reads, visitors can see an empty cart after they have filled it."}
	v := readingVisitors()
	o.set("fleet", "2 servers on dynamodb; eventually consistent reads come from a copy that is %v behind", e.lag)
	o.set("refreshes", "%d visitors who add a visit and read their session as soon as that is answered", refreshes)
	o.describeLoad(v)
	table := Table{Title: "Stale reads", Columns: []string{
		"reads", "refreshes", "that show an old session", "requests under load", "stale under load", "other violations"}}
	for _, run := range []struct {
		name     string
		eventual bool
	}{{"eventually consistent", e.eventual}, {"strongly consistent", e.strong}} {
		old, r, err := e.read(ctx, runner, v, run.eventual)
		if err != nil {
			return o, err
		}
		c := r.Sessions
		table.Rows = append(table.Rows, []any{run.name, refreshes, old, r.Requests, c.StaleReads, c.Violations() - c.StaleReads})
		o.timeline(run.name, r)
		if run.name == "eventually consistent" {
			o.assertAtLeast("refreshes with an old session, reads "+run.name, float64(old), 1)
			o.assertAtLeast("stale reads under load, reads "+run.name, float64(c.StaleReads), 1)
		} else {
			o.assertAtMost("refreshes with an old session, reads "+run.name, float64(old), 0)
			o.assertAtLeast("sessions checked, reads "+run.name, float64(c.Total), 1)
			o.assertAtMost("stale reads and other violations under load, reads "+run.name, float64(c.Violations()), 0)
		}
	}
	o.Tables = append(o.Tables, table)
	return o, nil
}

// read counts stale reads, in refreshes and under load.
func (e replicaLag) read(ctx context.Context, runner *Runner, v load.Options, eventual bool) (old int, r load.Result, err error) {
	s := setup{store: config.StoreDynamoDB, servers: 2}
	s.change = func(ctx context.Context, c *config.Config) (func() error, error) {
		c.DynamoDBEventualReads = eventual
		return e.startReplica(ctx, c)
	}
	env, err := runner.open(ctx, s)
	if err != nil {
		return 0, r, err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	runner.Report("warming DynamoDB Local up")
	warmup := readingVisitors()
	warmup.Duration = runner.Phase
	if _, err := env.runLoad(ctx, warmup); err != nil {
		return 0, r, err
	}
	runner.Report("reading under load")
	r, err = env.runUnderLoad(ctx, v, func(ctx context.Context) error {
		for range refreshes {
			b := newClient(env.url)
			added, err := b.must(ctx, http.MethodPost, "/api/visits", nil)
			if err != nil {
				return err
			}
			shown, err := b.must(ctx, http.MethodGet, "/api/session", nil)
			if err != nil {
				return err
			}
			if shown.state().Visits < added.state().Visits {
				old++
			}
		}
		return pause(ctx, runner.Phase)
	})
	return old, r, err
}

// startReplica creates the copy's table, and makes the servers use a replica.
func (e replicaLag) startReplica(ctx context.Context, c *config.Config) (close func() error, err error) {
	copyName := c.DynamoDBTable + "-copy"
	client := dynamodb.NewClient(aws.Config{
		Region: c.Region, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, c.DynamoDBEndpoint)
	if err := dynamodb.CreateTable(ctx, client, copyName); err != nil {
		return nil, fmt.Errorf("making the copy's table: %w", err)
	}
	between, address, err := newReplica(c.DynamoDBEndpoint, c.DynamoDBTable, copyName, e.lag)
	if err != nil {
		return nil, err
	}
	c.DynamoDBEndpoint = address
	return between.Close, nil
}
