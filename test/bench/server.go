package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"stateless-servers/session/sessiontest/process"
)

// A Usage is what a server process has used since its start, from its own accounting.
type Usage struct {
	CPU     time.Duration // user and system (getrusage)
	Mallocs uint64        // heap objects (runtime.MemStats)
	Active  int           // requests under way, without this one
	Held    int           // of these, at the gate
	Left    int           // of those, without a client
}

// serve is the server process: it prints where it listens, for visitors and for usage, and serves one variant until it is stopped.
func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	name := flags.String("variant", "", "")
	store := flags.String("store", "", "")
	cpu := flags.Int("cpu", -1, "")
	profile := flags.String("profile", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *cpu >= 0 {
		if err := pin(*cpu); err != nil {
			return err
		}
		runtime.GOMAXPROCS(1)
	}
	v, err := variantNamed(*name)
	if err != nil {
		return err
	}
	l, err := v.open(*store)
	if err != nil {
		return err
	}
	defer l.Close()
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}

	var active atomic.Int64
	gate := newGate()
	routes := newHandler(l, gate)
	visitors, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// Of its own, so that no visitor's request pays for it.
	adminServer := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("collect") != "" {
			runtime.GC()
		}
		if r.FormValue("open") != "" {
			gate.open()
		}
		usage, err := readUsage()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		usage.Active = int(active.Load())
		usage.Held, usage.Left = gate.waiting()
		json.NewEncoder(w).Encode(usage)
	})}
	go adminServer.Serve(admin)
	defer adminServer.Close()
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		active.Add(1)
		defer active.Add(-1)
		routes.ServeHTTP(w, r)
	})}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	fmt.Println(visitors.Addr(), admin.Addr())
	if err := server.Serve(visitors); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func readUsage() (Usage, error) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	cpu, err := cpuTime()
	return Usage{CPU: cpu, Mallocs: memory.Mallocs}, err
}

// A server is a server process, seen from outside.
type server struct {
	*process.Process
	addr, admin string
}

// startServer starts a server process of the variant. cpu is the CPU that it is pinned to, -1 for any; profile names the
// file that its CPU profile goes to when it is stopped, empty for none.
func startServer(v variant, store string, cpu int, profile string) (*server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	said := &firstLine{line: make(chan string, 1)}
	p, err := process.Start(process.Command{
		Name: "server " + v.Name, Path: program, Output: said,
		Args: []string{"serve", "-variant", v.Name, "-store", store, "-cpu", strconv.Itoa(cpu), "-profile", profile},
	})
	if err != nil {
		return nil, err
	}
	select {
	case line := <-said.line:
		addr, admin, _ := strings.Cut(line, " ")
		return &server{p, addr, admin}, nil
	case <-p.Done():
		return nil, p.Ended()
	case <-time.After(time.Minute):
		p.Kill()
		return nil, fmt.Errorf("server %s didn't start within a minute", v.Name)
	}
}

// stop ends the server; its profile is written then.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.Stop(ctx)
}

// usage asks the server for its usage.
func (s *server) usage(ctx context.Context) (Usage, error) { return s.ask(ctx, "") }

// collect makes the server collect its garbage first, so that what follows pays for none but its own.
func (s *server) collect(ctx context.Context) (Usage, error) { return s.ask(ctx, "?collect=true") }

// open lets the requests go on that are held.
func (s *server) open(ctx context.Context) error {
	_, err := s.ask(ctx, "?open=true")
	return err
}

func (s *server) ask(ctx context.Context, query string) (Usage, error) {
	var u Usage
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/"+query, nil)
	if err != nil {
		return u, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return u, fmt.Errorf("ask the server for its usage: %w", err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&u); err != nil {
		return u, fmt.Errorf("ask the server for its usage: %w", err)
	}
	return u, nil
}

// firstLine hands on the first line that is written to it.
type firstLine struct {
	line chan string
	text bytes.Buffer
}

func (f *firstLine) Write(p []byte) (int, error) {
	had := strings.Contains(f.text.String(), "\n")
	f.text.Write(p)
	if line, _, ended := strings.Cut(f.text.String(), "\n"); ended && !had {
		f.line <- line
	}
	return len(p), nil
}
