package leaderboard_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/valkey-io/valkey-go"

	"stateless-servers/app/leaderboard"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// TestBoards checks the contract of Board on every store. Each store's server is started once.
func TestBoards(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"memory": func(t *testing.T) { testBoard(t, func() leaderboard.Board { return leaderboard.NewMemory() }) },
		"valkey": func(t *testing.T) {
			client := valkeyClient(t, storeserver.ForTest(t, storeserver.Valkey))
			testBoard(t, func() leaderboard.Board {
				emptyValkey(t, client)
				return leaderboard.NewValkey(client)
			})
			testValkeyKeepsOnlyTheBest(t, client)
		},
		"dynamodb": func(t *testing.T) {
			server := storeserver.ForTest(t, storeserver.DynamoDB)
			testBoard(t, func() leaderboard.Board { return dynamodbBoard(t, server) })
		},
		"postgres": testPostgres,
	} {
		t.Run(name, test)
	}
}

// testBoard checks the contract of Board; empty returns an empty board.
func testBoard(t *testing.T, empty func() leaderboard.Board) {
	t.Helper()
	board := empty()
	if entries := top(t, board); entries == nil || len(entries) > 0 {
		t.Errorf("an empty board has %#v, want an empty list", entries)
	}

	record(t, board, "ann", 30)
	record(t, board, "bob", 50)
	record(t, board, "ann", 20) // worse than 30: ignored
	record(t, board, "Zoë <b>#", 30)
	record(t, board, "cy", 0)
	record(t, board, "bob", 1_000_000_000)
	expect(t, board, []leaderboard.Entry{{"bob", 1_000_000_000}, {"Zoë <b>#", 30}, {"ann", 30}, {"cy", 0}})

	for i := range int64(12) {
		record(t, board, fmt.Sprintf("player-%02d", i), 100+i)
	}
	entries := top(t, board)
	if len(entries) != leaderboard.MaxEntries {
		t.Fatalf("%d entries, want %d", len(entries), leaderboard.MaxEntries)
	}
	last := leaderboard.Entry{Name: "player-03", Score: 103}
	if entries[0].Name != "bob" || entries[9] != last {
		t.Errorf("first %v and last %v, want bob and %v", entries[0], entries[9], last)
	}

	// Of concurrent scores of one name, the best one is stored.
	board = empty()
	var players sync.WaitGroup
	for score := range int64(40) {
		players.Go(func() {
			if err := board.Record(t.Context(), "ann", score); err != nil {
				t.Error(err)
			}
		})
	}
	players.Wait()
	expect(t, board, []leaderboard.Entry{{"ann", 39}})
}

func testValkeyKeepsOnlyTheBest(t *testing.T, client func(context.Context) (valkey.Client, error)) {
	t.Helper()
	emptyValkey(t, client)
	board := leaderboard.NewValkey(client)
	for i := range int64(1005) {
		record(t, board, fmt.Sprintf("player-%04d", i), i)
	}
	c, err := client(t.Context())
	must.Succeed(t, err)
	names, err := c.Do(t.Context(), c.B().Zrange().Key("leaderboard").Min("0").Max("-1").Build()).AsStrSlice()
	if err != nil || len(names) != 1000 || slices.Contains(names, "player-0004") {
		t.Errorf("the sorted set has %d members (%v), want the best 1000", len(names), err)
	}
}

func TestFailuresAreReported(t *testing.T) {
	down := func(context.Context) (valkey.Client, error) { return nil, valkey.ErrClosing }
	boards := map[string]leaderboard.Board{
		"valkey":   leaderboard.NewValkey(down),
		"dynamodb": leaderboard.NewDynamoDB(dynamodb.NewClient(awsConfig(), "http://127.0.0.1:1"), "nosuch"),
		"postgres": leaderboard.NewPostgres(newPool(t, "postgres://127.0.0.1:1/nosuch?sslmode=disable")),
	}
	for name, board := range boards {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := board.Record(ctx, "ann", 1); err == nil {
			t.Errorf("%s: Record succeeds while the store is down, want an error", name)
		}
		if _, err := board.Top(ctx); err == nil {
			t.Errorf("%s: Top succeeds while the store is down, want an error", name)
		}
		cancel()
	}
}

func record(t *testing.T, board leaderboard.Board, name string, score int64) {
	t.Helper()
	must.Succeed(t, board.Record(t.Context(), name, score))
}

func top(t *testing.T, board leaderboard.Board) []leaderboard.Entry {
	t.Helper()
	return must.Get(board.Top(t.Context()))(t)
}

func expect(t *testing.T, board leaderboard.Board, want []leaderboard.Entry) {
	t.Helper()
	if got := top(t, board); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func valkeyClient(t *testing.T, server *storeserver.Server) func(context.Context) (valkey.Client, error) {
	t.Helper()
	client := must.Get(valkey.NewClient(valkey.ClientOption{InitAddress: []string{server.Addr}, DisableCache: true}))(t)
	t.Cleanup(client.Close)
	return func(context.Context) (valkey.Client, error) { return client, nil }
}

func emptyValkey(t *testing.T, client func(context.Context) (valkey.Client, error)) {
	t.Helper()
	c, _ := client(t.Context())
	must.Succeed(t, c.Do(t.Context(), c.B().Del().Key("leaderboard").Build()).Error())
}

func dynamodbBoard(t *testing.T, server *storeserver.Server) leaderboard.Board {
	t.Helper()
	client := dynamodb.NewClient(awsConfig(), server.Endpoint)
	table := fmt.Sprintf("leaderboard-%d", time.Now().UnixNano())
	must.Succeed(t, dynamodb.CreateTable(t.Context(), client, table))
	return leaderboard.NewDynamoDB(client, table)
}

func awsConfig() aws.Config {
	return aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
}
