package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/app/session"
	"stateless-servers/app/session/dynamodb"
	"stateless-servers/app/session/memory"
	"stateless-servers/app/session/migrate"
	"stateless-servers/app/session/sessiontest"
	"stateless-servers/app/session/valkey"
	"stateless-servers/lab/storeserver"
)

// A store in the course of a move keeps what its two sides keep, whichever of them has the session.
func TestStore(t *testing.T) {
	t.Run("prepare", func(t *testing.T) { sessiontest.Run(t, migrate.Prepare(memory.New(), memory.New())) })
	t.Run("from", func(t *testing.T) { sessiontest.Run(t, migrate.From(memory.New(), memory.New())) })
	t.Run("from, with every session in the old store", func(t *testing.T) {
		old := memory.New()
		sessiontest.Run(t, startsIn{migrate.From(old, memory.New()).(session.UserStore), old})
	})
	t.Run("prepare, with every session in the new store", func(t *testing.T) {
		moved := memory.New()
		sessiontest.Run(t, startsIn{migrate.Prepare(memory.New(), moved).(session.UserStore), moved})
	})
}

// startsIn creates sessions in a store of its own.
type startsIn struct {
	session.UserStore
	start session.Store
}

func (s startsIn) Create(ctx context.Context, id session.ID, record session.Record) error {
	return s.start.Create(ctx, id, record)
}

// TestMoveUnderLoad moves from DynamoDB to Valkey while visitors go on, as a rolling deployment does: first every server
// has the old store alone, then some prepare, then some move, and at last all do.
func TestMoveUnderLoad(t *testing.T) {
	const sessions, updates, clients = 20, 100, 8
	old, moved := openDynamoDB(t), valkey.New(valkey.Options{Address: storeserver.ForTest(t, storeserver.Valkey).Addr})
	t.Cleanup(moved.Close)
	prepare, from := migrate.Prepare(old, moved), migrate.From(old, moved)
	phases := [][]session.Store{{old, old}, {old, prepare}, {prepare, prepare}, {prepare, from}, {from, from}}

	ctx, now := t.Context(), time.Now()
	ids := make([]session.ID, sessions)
	for i := range ids {
		ids[i] = session.ID{byte(i), 1}
		record := session.Record{User: "ada", Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
		if err := old.Create(ctx, ids[i], record); err != nil {
			t.Fatal(err)
		}
	}
	for phase, servers := range phases {
		var group sync.WaitGroup
		var next atomic.Int64
		for range clients {
			group.Go(func() {
				for n := next.Add(1); n <= sessions*updates/int64(len(phases)); n = next.Add(1) {
					id, server := ids[int(n)%sessions], servers[rand.IntN(len(servers))]
					_, err := server.Update(ctx, id, session.Update{
						Now: now, IdleExpires: now.Add(time.Hour), Changes: []session.Change{{Op: session.OpAdd, Key: "n", N: 1}},
					})
					if err != nil {
						t.Errorf("phase %d: update: %v", phase, err)
					}
				}
			})
		}
		group.Wait()
	}
	for i, id := range ids {
		record, err := moved.Load(ctx, id, now)
		if want := strconv.Itoa(updates); err != nil || record.Values["n"] != want || record.User != "ada" {
			t.Errorf("session %d in the new store: %+v, %v, want %s updates", i, record, err, want)
		}
		if _, err := old.Load(ctx, id, now); !errors.Is(err, session.ErrEnded) {
			t.Errorf("session %d in the old store: %v", i, err)
		}
	}
	if list, err := from.(session.UserStore).UserSessions(ctx, "ada", now); err != nil || len(list) != sessions {
		t.Errorf("%d of %d sessions are listed: %v", len(list), sessions, err)
	}
}

// failing fails the first calls of Create, one of them after it was done.
type failing struct {
	*memory.Store
	failures atomic.Int64
}

func (s *failing) Create(ctx context.Context, id session.ID, record session.Record) error {
	n := s.failures.Add(-1)
	if n > 0 {
		return fmt.Errorf("failure %d", n)
	}
	err := s.Store.Create(ctx, id, record)
	if n == 0 {
		return errors.New("the answer was lost")
	}
	return err
}

func TestAMoveSurvivesFailuresOfTheNewStore(t *testing.T) {
	old, moved := memory.New(), &failing{Store: memory.New()}
	moved.failures.Store(4)
	ctx, now := t.Context(), time.Now()
	id := session.ID{1}
	record := session.Record{Values: map[string]string{"n": "1"}, Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
	if err := old.Create(ctx, id, record); err != nil {
		t.Fatal(err)
	}
	got, err := migrate.From(old, moved).Load(ctx, id, now)
	if err != nil || got.Values["n"] != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func openDynamoDB(t *testing.T) *dynamodb.Store {
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	client := dynamodb.NewClient(aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, server.Endpoint)
	if err := dynamodb.CreateTable(t.Context(), client, "sessions"); err != nil {
		t.Fatal(err)
	}
	return dynamodb.New(client, dynamodb.Options{Table: "sessions"})
}
