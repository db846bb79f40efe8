package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"stateless-servers/app/config"
	"stateless-servers/app/config/allowed"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/contract"
	"stateless-servers/lab/dashboard"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/localstore"
)

// keepAliveMargin is how much longer than the load balancer the servers keep idle connections. If they closed them first, the
// load balancer would send requests on connections that a server is closing.
const keepAliveMargin = 15 * time.Second

// upOptions are the flags of lab up.
type upOptions struct {
	servers   int
	store     config.StoreKind
	storeAddr string
	server    string
	addr      string
	balancer  balancer.Options
	threshold int
	noBrowser bool
	verbose   bool
}

func newUp(build func(context.Context) (string, error)) *cobra.Command {
	o := upOptions{
		servers: 3, store: config.StoreValkey, addr: "127.0.0.1:8080", threshold: 2,
		balancer: balancer.Options{
			HealthInterval: 5 * time.Second, IdleTimeout: time.Minute, DeregistrationDelay: 30 * time.Second,
		},
	}
	c := &cobra.Command{
		Use:   "up",
		Short: "Run a fleet, its load balancer and its store until Ctrl-C",
		Long: "Up builds the server and starts a session store, a fleet of servers and a load balancer in front of them.\n" +
			"The page /_lab shows the fleet; there you add servers, stop them as a deployment does, and kill them.\n" +
			"Ctrl-C ends everything; the exit status is then 0. It is 1 if something couldn't be started.\n\n" +
			"The store valkey is valkey-server or redis-server from the PATH, or one embedded in the lab if there is neither.\n" +
			"dynamodb is DynamoDB Local, downloaded once (with Java 17 and Maven). memcached and postgres are the programs of those\n" +
			"names. cookie and token keep each session in its visitor's cookie. memory keeps sessions in each server, which shows\n" +
			"what goes wrong without a shared store, and with --sticky what goes wrong when a server dies.\n\n" +
			"With --server the fleet runs another application, in any language: the command starts a server that listens on\n" +
			"127.0.0.1:$PORT, keeps its sessions at $STORE_URL, answers 200 at /healthz, and has the routes of docs/explore.md.",
		Example: "  lab up\n" +
			"  lab up --store dynamodb --servers 5\n" +
			"  lab up --store memory --sticky\n" +
			"  lab up --store-addr cache.internal:6379 --addr 127.0.0.1:9000\n" +
			"  lab up --server ./my-server --store postgres\n" +
			"  curl -X POST http://127.0.0.1:8080/_lab/servers/server-2/kill",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.storeAddr != "" && o.store != config.StoreValkey {
				return notAllowed("store-addr", o.storeAddr, "nothing unless the store is valkey")
			}
			if o.server != "" && !o.store.ServerSide() {
				return notAllowed("store", string(o.store), "with --server valkey, dynamodb, memcached or postgres, or memory, which starts no store")
			}
			return up(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr(), build)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	add(flags, "servers", &o.servers, allowed.Number(1, fleet.MaxServers), "servers to start")
	add(flags, "store", &o.store, allowed.OneOf(config.StoreValkey, config.StoreDynamoDB, config.StoreMemcached,
		config.StorePostgres, config.StoreCookie, config.StoreToken, config.StoreMemory), "where sessions live")
	add(flags, "store-addr", &o.storeAddr, address(), "a running Valkey or Redis to use")
	flags.StringVar(&o.server, "server", "", "run this `command` for each server instead of the sample application")
	add(flags, "addr", &o.addr, loopback(), "where the load balancer listens")
	flags.BoolVar(&o.balancer.Sticky, "sticky", false, "pin each visitor to one server (cookie AWSALB)")
	add(flags, "health-interval", &o.balancer.HealthInterval, allowed.Duration(100*time.Millisecond, 5*time.Minute), "time between two health checks of a server")
	add(flags, "health-threshold", &o.threshold, allowed.Number(1, 10), "consecutive checks that make a server unhealthy, or healthy again")
	add(flags, "idle-timeout", &o.balancer.IdleTimeout, allowed.Duration(time.Second, time.Hour), "how long a server may take to begin its response before it is a 504")
	add(flags, "deregistration-delay", &o.balancer.DeregistrationDelay, allowed.Duration(0, time.Hour), "how long a server that is stopped may take to finish its requests")
	flags.BoolVar(&o.noBrowser, "no-browser", false, "don't open the application in the browser")
	flags.BoolVar(&o.verbose, "verbose", false, "show what the servers log")
	return c
}

// up runs the lab until ctx ends. When it returns, everything that it started has ended.
func up(ctx context.Context, o upOptions, stdout, stderr io.Writer, build func(context.Context) (string, error)) (err error) {
	started := time.Now()
	out := &printer{w: stdout}
	listener, err := listen(o.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = errors.New("interrupted before the fleet was up")
		}
	}()

	c := config.Default()
	c.AllowDelay, c.PlainHTTP, c.ShutdownDelay = true, true, 0
	c.Sticky, c.FleetPage = o.balancer.Sticky, dashboard.Path
	c.KeepAlive = o.balancer.IdleTimeout + keepAliveMargin
	out.line("Starting the store")
	sessions, err := localstore.Start(ctx, o.store, o.storeAddr, &c, out.line)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sessions.Close()) }()
	program := ""
	if o.server == "" {
		out.line("Building the server")
		if program, err = build(ctx); err != nil {
			return err
		}
	}

	logs, err := os.MkdirTemp("", "stateless-servers-logs-")
	if err != nil {
		return fmt.Errorf("making a folder for the servers' logs: %w", err)
	}
	o.balancer.HealthyThreshold, o.balancer.UnhealthyThreshold = o.threshold, o.threshold
	o.balancer.DeregistrationDelay = max(o.balancer.DeregistrationDelay, time.Nanosecond) // 0 would mean the default
	events := dashboard.NewEvents(out.event)
	options := fleet.Options{Program: program, Server: contract.Server{Command: o.server}, Config: c, Balancer: o.balancer, LogDir: logs, Report: events.Add}
	if o.verbose {
		options.Output = &printer{w: stderr}
	}
	f, err := fleet.New(options)
	if err != nil {
		return err
	}
	defer f.Close()
	out.line(fmt.Sprintf("Starting %d servers", o.servers))
	if _, err := f.Launch(ctx, o.servers); err != nil {
		return err
	}

	info := dashboard.Info{
		Store: o.store, StoreName: sessions.Description, Address: listener.Addr().String(), Sticky: o.balancer.Sticky,
	}
	page, err := dashboard.New(info, f, events)
	if err != nil {
		return err
	}
	server := serve(listener, f, page)
	defer server.Close()
	defer page.Close()
	url := "http://" + listener.Addr().String()
	out.line("")
	out.line("Application  " + url)
	out.line("Fleet        " + url + dashboard.Path)
	out.line("Store        " + sessions.Description)
	out.line("Logs         " + filepath.Join(logs, "server-*.log"))
	if n := balancer.DefaultMaxInFlight(); n < balancer.MostInFlight {
		out.line(fmt.Sprintf("Limit        %d requests at a time, instead of %d: the hard limit of open files (ulimit -Hn) is below %d",
			n, balancer.MostInFlight, balancer.DescriptorsNeeded))
	}
	out.line(fmt.Sprintf("Ready in %.1f s. Ctrl-C ends everything.", time.Since(started).Seconds()))
	out.line("")
	if !o.noBrowser && terminal(stdout) {
		openBrowser(url)
	}
	<-ctx.Done()
	out.line("Stopping; the logs are kept in " + logs)
	return nil
}

// listen opens the listener of the load balancer.
func listen(addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--addr=%q: another program listens there; end it or choose another port", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("--addr=%q: %w", addr, err)
	}
	return listener, nil
}

// serve serves the dashboard and, at all other paths, the fleet.
func serve(listener net.Listener, f *fleet.Fleet, page *dashboard.Page) *http.Server {
	// A ServeMux would redirect paths like //a, which must reach the servers.
	return f.Balancer().Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if dashboard.Contains(r.URL.Path) {
			page.ServeHTTP(w, r)
			return
		}
		f.ServeHTTP(w, r)
	}))
}

// A printer writes lines. It is safe for concurrent use.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.w.Write(b)
}

func (p *printer) line(text string) { fmt.Fprintln(p, text) }

// event writes a line with the time of day.
func (p *printer) event(text string) { p.line(time.Now().Format(time.TimeOnly) + " " + text) }
