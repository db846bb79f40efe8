package valkey_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
	"stateless-servers/session/sessiontest/storeserver"
	"stateless-servers/session/valkey"
)

// After a failover the store follows the Sentinel to the new primary, which then has every addition once.
func TestSentinel(t *testing.T) {
	sessiontest.Long(t)
	primary := storeserver.OwnForTest(t, storeserver.Valkey)
	replica := must.Get(storeserver.ValkeyReplica(t.Context(), primary))(t)
	t.Cleanup(func() { replica.Close() })
	sentinel := must.Get(storeserver.ValkeySentinel(t.Context(), primary, "sessions"))(t)
	t.Cleanup(func() { sentinel.Close() })

	forwarder := storeserver.Forward(t, sentinel.Addr)
	store := newStore(t, valkey.Options{Configure: func(o *client.ClientOption) {
		o.InitAddress = []string{forwarder.Addr}
		o.Sentinel.MasterSet = "sessions"
	}})
	id, record := sessiontest.Create(t, store)
	must.Get(store.Update(t.Context(), id, add(record)))(t)
	must.Succeed(t, storeserver.AwaitReplica(t.Context(), primary))
	sessiontest.Eventually(t, func() error { // as soon as the Sentinel knows the replica
		return storeserver.Failover(t.Context(), sentinel, "sessions")
	})
	if n := forwarder.Accepted(); n != 1 {
		t.Errorf("%d connections to the Sentinel, want one: its pushes must not close it", n)
	}
	// Until the Sentinel has demoted the old primary, that still acknowledges writes, which are then lost.
	for server, want := range map[*storeserver.Server]string{replica: "master", primary: "slave"} {
		sessiontest.Eventually(t, func() error {
			role, err := storeserver.Query(t.Context(), server, "ROLE")
			if err == nil && role[0] != want {
				err = errors.New("the servers have not changed roles")
			}
			return err
		})
	}
	before, direct := int64(0), open(t, replica.Addr)
	sessiontest.Eventually(t, func() error { // the old primary refuses a write, or the connection is down
		got, err := store.Update(sessiontest.Short(t), id, add(record))
		before = atoi(got.Values["n"])
		return err
	})
	for range 5 {
		must.Get(store.Update(t.Context(), id, add(record)))(t)
	}
	if got, err := direct.Load(t.Context(), id, record.Created); err != nil || atoi(got.Values["n"]) != before+5 || before < 2 {
		t.Errorf("the new primary has %v, %v, want 5 additions to %d", got.Values, err, before)
	}
	must.Succeed(t, primary.Kill())
	if _, err := store.Update(t.Context(), id, add(record)); err != nil {
		t.Errorf("without the old primary: %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	program, err := storeserver.ValkeyProgram()
	must.Succeed(t, err)
	dir, err := os.MkdirTemp("", "valkey") // t.TempDir may be too long for a socket
	must.Succeed(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	server, err := process.Start(process.Command{Name: "Valkey on a unix socket", Path: program, Dir: dir, Args: []string{
		"--port", "0", "--unixsocket", socket, "--save", "", "--requirepass", "secret"}})
	must.Succeed(t, err)
	t.Cleanup(server.Kill)
	store := newStore(t, valkey.Options{Address: socket, Configure: func(o *client.ClientOption) {
		o.Password = "secret"
		o.DialCtxFn = unixDial
	}})
	sessiontest.Eventually(t, func() error { return store.Ping(sessiontest.Short(t)) })
	sessiontest.Run(t, store)
}

// The caller's options can't break the store's promises.
func TestConfigureKeepsPromises(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Valkey)
	dialed := 0
	store := newStore(t, valkey.Options{Address: server.Addr, Configure: func(o *client.ClientOption) {
		o.ReplicaOnly = true
		o.SendToReplicas = func(client.Completed) bool { return true }
		o.Standalone.ReplicaAddress = []string{"127.0.0.1:1"}
		o.ConnLifetime = 1
		o.DisableCache = false
		o.DialFn = func(address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) { //nolint:staticcheck // still possible
			dialed++
			return dialer.Dial("tcp", address)
		}
	}})
	id, record := sessiontest.Create(t, store)
	for range 5 {
		must.Get(store.Update(t.Context(), id, add(record)))(t)
	}
	if got, err := store.Load(t.Context(), id, record.Created); err != nil || got.Values["n"] != "5" {
		t.Errorf("got %v, %v, want 5 additions", got.Values, err)
	}
	if dialed == 0 {
		t.Error("the caller's dialer was not used")
	}
}

func unixDial(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return dialer.DialContext(ctx, "unix", address)
}
