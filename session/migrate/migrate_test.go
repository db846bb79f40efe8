package migrate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/memory"
	"stateless-servers/session/migrate"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
	"stateless-servers/session/valkey"
)

// During a migration, the store keeps the promises of both stores, wherever the session is.
func TestStore(t *testing.T) {
	t.Run("prepare", func(t *testing.T) { sessiontest.Run(t, migrate.Prepare(memory.New(), memory.New())) })
	t.Run("from", func(t *testing.T) { sessiontest.Run(t, migrate.Move(memory.New(), memory.New())) })
	t.Run("from, with every session in the old store", func(t *testing.T) {
		old := memory.New()
		sessiontest.Run(t, startsIn{migrate.Move(old, memory.New()).(session.UserStore), old})
	})
	t.Run("prepare, with every session in the new store", func(t *testing.T) {
		moved := memory.New()
		sessiontest.Run(t, startsIn{migrate.Prepare(memory.New(), moved).(session.UserStore), moved})
	})
}

// A startsIn is a migrating store that creates sessions in one given store.
type startsIn struct {
	session.UserStore
	start session.Store
}

func (s startsIn) Create(ctx context.Context, id session.ID, record session.Record) error {
	return s.start.Create(ctx, id, record)
}

// TestMoveUnderLoad moves sessions from DynamoDB to Valkey under load, as rolling deployments do: first every server
// uses the old store alone, then some use Prepare, then some use Move, and finally all do.
func TestMoveUnderLoad(t *testing.T) {
	const sessions, updates, clients = 20, 100, 8
	old, moved := openDynamoDB(t), valkey.New(valkey.Options{Address: storeserver.ForTest(t, storeserver.Valkey).Addr})
	t.Cleanup(moved.Close)
	prepare, from := migrate.Prepare(old, moved), migrate.Move(old, moved)
	phases := [][]session.Store{{old, old}, {old, prepare}, {prepare, prepare}, {prepare, from}, {from, from}}

	ctx, now := t.Context(), time.Now()
	ids := make([]session.ID, sessions)
	for i := range ids {
		ids[i] = session.ID{byte(i), 1}
		record := session.Record{User: "ada", Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
		must.Succeed(t, old.Create(ctx, ids[i], record))
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
	listed := 0
	for query := (session.PageQuery{Now: now, Limit: 7}); ; {
		page := must.Get(from.(session.UserStore).UserSessions(ctx, "ada", query))(t)
		listed += len(page.Sessions)
		if query.Cursor = page.Next; query.Cursor == "" {
			break
		}
	}
	if listed != sessions {
		t.Errorf("%d of %d sessions are listed, want all", listed, sessions)
	}
}

// A slow is a store whose Create waits.
type slow struct {
	*memory.Store
	began, release chan struct{}
}

func (s *slow) Create(ctx context.Context, id session.ID, record session.Record) error {
	s.began <- struct{}{}
	<-s.release
	return s.Store.Create(ctx, id, record)
}

// A request that finds a session during its move completes the move.
func TestConcurrentRequestFindsAMovingSession(t *testing.T) {
	old, moved := memory.New(), memory.New()
	waiting := &slow{Store: moved, began: make(chan struct{}), release: make(chan struct{})}
	ctx, now := t.Context(), time.Now()
	id, record := session.ID{1}, session.Record{Values: map[string]string{"n": "1"}, Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
	must.Succeed(t, old.Create(ctx, id, record))
	done := make(chan error)
	go func() {
		_, err := migrate.Move(old, waiting).Update(ctx, id, session.Update{
			Now: now, IdleExpires: now.Add(time.Hour), Changes: []session.Change{{Op: session.OpAdd, Key: "n", N: 1}},
		})
		done <- err
	}()
	<-waiting.began
	for name, server := range map[string]session.Store{"prepare": migrate.Prepare(old, moved), "from": migrate.Move(old, moved)} {
		if got, err := server.Load(ctx, id, now); err != nil || got.Values["n"] != "1" {
			t.Errorf("%s, during the move: got %+v, %v", name, got, err)
		}
	}
	close(waiting.release)
	if err := <-done; err != nil {
		t.Errorf("the update that moved it: %v", err)
	}
	if got, err := moved.Load(ctx, id, now); err != nil || got.Values["n"] != "2" {
		t.Errorf("after the move: got %+v, %v", got, err)
	}
}

func TestLogoutBeforeTheMoveIsFinal(t *testing.T) {
	old, moved := memory.New(), memory.New()
	ctx, now := t.Context(), time.Now()
	id, record := session.ID{1}, session.Record{Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
	must.Succeed(t, old.Create(ctx, id, record))
	must.Get(old.End(ctx, id, session.EndOptions{Now: now}))(t)
	for name, server := range map[string]session.Store{"prepare": migrate.Prepare(old, moved), "from": migrate.Move(old, moved)} {
		if _, err := server.Update(ctx, id, session.Update{Now: now, IdleExpires: now.Add(time.Hour)}); !errors.Is(err, session.ErrEnded) {
			t.Errorf("%s: got %v, want %v", name, err, session.ErrEnded)
		}
	}
}

// A session that was logged out after its move stays ended, even if the clocks of servers differ by up to
// session.MaxClockSkew.
func TestALogoutAfterAMoveIsFinal(t *testing.T) {
	const skew = session.MaxClockSkew
	for _, mover := range []time.Duration{0, skew} {
		for _, ender := range []time.Duration{0, skew} {
			for _, reader := range []time.Duration{0, skew} {
				old, moved := memory.New(), memory.New()
				from := migrate.Move(old, moved)
				ctx, start := t.Context(), time.Now()
				id, record := session.ID{1}, session.Record{Created: start, Expires: start.Add(time.Hour), IdleExpires: start.Add(time.Hour)}
				must.Succeed(t, old.Create(ctx, id, record))
				must.Get(from.Load(ctx, id, start.Add(mover)))(t)
				must.Get(from.End(ctx, id, session.EndOptions{Now: start.Add(ender)}))(t)
				for after := time.Duration(0); after < 2*session.EndedFor; after += time.Second {
					_, err := from.Load(ctx, id, start.Add(reader+after))
					if !errors.Is(err, session.ErrEnded) && !errors.Is(err, session.ErrNotFound) {
						t.Fatalf("clocks %v, %v, %v ahead, %v later: got %v", mover, ender, reader, after, err)
					}
				}
			}
		}
	}
}

func openDynamoDB(t *testing.T) *dynamodb.Store {
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	client := dynamodb.NewClient(aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, server.Endpoint)
	must.Succeed(t, dynamodb.CreateTable(t.Context(), client, "migrate"))
	return dynamodb.New(client, dynamodb.Options{Table: "migrate"})
}
