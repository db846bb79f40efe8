package localstore

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"stateless-servers/app/config"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

func TestEmbeddedStoreExpires(t *testing.T) {
	c := config.Default()
	s := must.Get(startEmbedded(&c))(t)
	conn := must.Get(net.Dial("tcp", c.ValkeyAddress))(t)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	send := func(command string) string {
		fmt.Fprintf(conn, "*%d\r\n", len(strings.Fields(command)))
		for _, word := range strings.Fields(command) {
			fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(word), word)
		}
		line := must.Get(reader.ReadString('\n'))(t)
		return strings.TrimSpace(line)
	}
	if got := send("SET k v"); got != "+OK" {
		t.Fatalf("SET: %s", got)
	}
	if got := send("EXISTS k"); got != ":1" {
		t.Errorf("EXISTS: %s", got)
	}
	if got := send("PEXPIRE k 300"); got != ":1" {
		t.Errorf("PEXPIRE: %s", got)
	}
	expired := false
	for range 3000 {
		if expired = send("EXISTS k") == ":0"; expired {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !expired {
		t.Error("a key with a lifetime of 300 ms still exists after 30 s")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", c.ValkeyAddress); err == nil {
		conn.Close()
		t.Error("the store still listens after Close")
	}
}

func TestRunningValkeyIsUsed(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Valkey)
	c := config.Default()
	s := must.Get(Start(t.Context(), config.StoreValkey, server.Addr, &c, func(string) {}))(t)
	if c.ValkeyAddress != server.Addr || c.Store != config.StoreValkey {
		t.Errorf("got the configuration %+v, want Valkey at %s", c, server.Addr)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := storeserver.PingValkey(t.Context(), server.Addr); err != nil {
		t.Errorf("Close ended a server that the lab had not started: %v", err)
	}
}

func TestDynamoDBHasItsTable(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	t.Setenv("DYNAMODB_TEST_ENDPOINT", server.Endpoint)
	tables := map[string]bool{}
	for range 2 { // two fleets on one server
		c := config.Default()
		s := must.Get(Start(t.Context(), config.StoreDynamoDB, "", &c, func(string) {}))(t)
		client := dynamodb.NewClient(aws.Config{
			Region: c.Region, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		}, c.DynamoDBEndpoint)
		if _, err := client.DescribeTable(t.Context(), &sdk.DescribeTableInput{TableName: &c.DynamoDBTable}); err != nil {
			t.Error(err)
		}
		tables[c.DynamoDBTable] = true
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(tables) != 2 {
		t.Errorf("the fleets have the tables %v, want one each", tables)
	}
}
