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

// replicaLag reads sessions from a replica that is behind, and from the primary.
type replicaLag struct {
	eventual, strong bool // what the first run, and the second, set DYNAMODB_EVENTUAL_READS to
	lag              time.Duration
}

func newReplicaLag() replicaLag {
	return replicaLag{eventual: true, strong: false, lag: 500 * time.Millisecond}
}

func (replicaLag) Name() string { return "replica-lag" }

func (replicaLag) Claim() string {
	return "Who reads sessions from a replica that lags behind shows visitors an old session after a refresh. " +
		"Strongly consistent reads never do."
}

// readers are so few that DynamoDB Local keeps up with them, and with the writes to its copy, from the first request on;
// and each comes back before the copy has what it did last.
func readers() load.Options {
	v := visitors()
	v.Rate, v.Sessions = load.Rate{{From: 25, To: 25}}, 5
	return v
}

// refreshes is how many visitors change their session and look at it at once.
const refreshes = 50

func (e replicaLag) Run(ctx context.Context, lab *Lab) (Observation, error) {
	o := Observation{Advice: "Read sessions strongly consistent (DynamoDB: twice the price of a read), or from the " +
		"primary. What is saved on reads is paid by visitors whose cart is empty after they have filled it."}
	v := readers()
	o.set("fleet", "2 servers on dynamodb; eventually consistent reads come from a copy that is %v behind", e.lag)
	o.set("refreshes", "%d visitors who add a visit and read their session as soon as that is answered", refreshes)
	o.describe(v)
	table := Table{Title: "Reads that lacked what was acknowledged before", Columns: []string{
		"reads", "refreshes", "with an old session", "requests under load", "stale under load", "other violations"}}
	for _, run := range []struct {
		name     string
		eventual bool
	}{{"eventually consistent", e.eventual}, {"strongly consistent", e.strong}} {
		old, r, err := e.read(ctx, lab, v, run.eventual)
		if err != nil {
			return o, err
		}
		c := r.Sessions
		table.Rows = append(table.Rows, []any{run.name, refreshes, old, r.Requests, c.StaleReads, c.Violations() - c.StaleReads})
		o.timeline(run.name, r)
		if run.name == "eventually consistent" {
			o.atLeast("refreshes with an old session, reads "+run.name, float64(old), 1)
			o.atLeast("stale reads under load, reads "+run.name, float64(c.StaleReads), 1)
		} else {
			o.atMost("refreshes with an old session, reads "+run.name, float64(old), 0)
			o.atLeast("sessions followed, reads "+run.name, float64(c.Total), 1)
			o.atMost("stale reads and other violations under load, reads "+run.name, float64(c.Violations()), 0)
		}
	}
	o.Tables = append(o.Tables, table)
	return o, nil
}

// read counts old sessions, in refreshes and under load.
func (e replicaLag) read(ctx context.Context, lab *Lab, v load.Options, eventual bool) (old int, r load.Result, err error) {
	s := setup{store: config.StoreDynamoDB, servers: 2}
	s.change = func(ctx context.Context, c *config.Config) (func() error, error) {
		c.DynamoDBEventualReads = eventual
		return e.lagBehind(ctx, c)
	}
	scene, err := lab.open(ctx, s)
	if err != nil {
		return 0, r, err
	}
	defer func() { err = errors.Join(err, scene.Close()) }()
	lab.Report("warming DynamoDB Local up")
	warmup := readers()
	warmup.Duration = lab.Phase
	if _, err := scene.send(ctx, warmup); err != nil {
		return 0, r, err
	}
	lab.Report("reading under load")
	r, err = scene.under(ctx, v, func(ctx context.Context) error {
		for range refreshes {
			b := newBrowser(scene.url)
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
		return pause(ctx, lab.Phase)
	})
	return old, r, err
}

// lagBehind makes a second table, and has the servers talk to a replica.
func (e replicaLag) lagBehind(ctx context.Context, c *config.Config) (close func() error, err error) {
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
